"""Where a run came from: whether it can be repeated, and how two differ."""
