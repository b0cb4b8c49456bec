"""From an address to bytes: paths, URLs, and what tells one version of a file from another."""
