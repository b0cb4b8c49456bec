"""A store's images, labels and vectors in the forms of other programs, out and in."""
