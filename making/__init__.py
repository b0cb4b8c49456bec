"""The scripts that made the shipped model and pictures; nothing here is needed to use shotdex."""
