"""Vector engines: what finds nearest vectors. Each is derived from the catalog and never the only copy of anything."""
