"""Methods trained on the stored vectors, compared with zero-shot: k-NN, linear probes and few-shot."""
