"""Prompt sets: made from names or files, shipped, checked, and compared template by template."""
