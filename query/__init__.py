"""From a question to ranked images, and read-only SQL."""
