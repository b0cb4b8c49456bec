"""What is on disk: the catalog (DuckDB), the vector index derived from it (FAISS), and the pictures they speak of."""
