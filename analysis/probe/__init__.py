"""What the stored vectors give once something is trained on them: the ladder from zero-shot to linear probe."""
