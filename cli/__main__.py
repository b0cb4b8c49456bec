"""`python -m shotdex.cli`."""

from . import main

main()
