"""`python -m shotdex`."""

from shotdex.cli import main

main()
