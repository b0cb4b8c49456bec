"""From a query to ranked images, and read-only SQL."""
