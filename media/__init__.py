"""Where images are: from an address to an upright RGB image, whatever the source; and whether it is whole."""
