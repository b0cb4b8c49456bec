"""The cells of manifests: CSV, Parquet, JSONL."""
