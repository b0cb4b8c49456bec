"""From a source of images to committed rows: scan, decode, encode, commit."""
