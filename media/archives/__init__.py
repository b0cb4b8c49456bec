"""Zip and tar archives, read in place as streams; nothing is ever unpacked to disk."""
