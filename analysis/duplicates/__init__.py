"""Images that a collection holds more than once: how they are found, what they bridge, what they do to accuracy."""
