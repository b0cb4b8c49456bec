"""From a file's bytes to a whole RGB image: formats, integrity, JPEG."""
