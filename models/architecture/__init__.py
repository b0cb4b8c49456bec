"""What a model is made of: towers, parameters, operations; from its configuration alone."""
