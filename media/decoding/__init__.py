"""What Pillow may open, and how one knows that a picture is whole."""
