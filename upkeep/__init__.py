"""Looks at a store as a whole and repairs it: verify, repair, prune, status."""
