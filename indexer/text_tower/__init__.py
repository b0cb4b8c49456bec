"""The text side of a model, kept beside the index: a new text is answered without importing torch or transformers."""
