"""What is on disk: the catalog (DuckDB), the vector index derived from it (FAISS), and the images they speak of."""
