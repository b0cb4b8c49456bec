"""Everything that knows torch or replaces it: encoders, their families and files, and the kept text tower."""
