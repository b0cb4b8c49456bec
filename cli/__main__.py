"""`python -m shotdex.cli`."""

from shotdex.cli import main

main()
