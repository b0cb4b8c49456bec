"""From a source of pictures to committed rows: scan, decode, encode, commit."""
