"""A document about runs: their numbers in words, tables and figures, as HTML, Markdown, a notebook or LaTeX."""
