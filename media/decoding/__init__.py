"""What Pillow may open, and how one knows that an image is whole."""
