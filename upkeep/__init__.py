"""Looks at a store as a whole and mends it: verify, repair, prune, status."""
