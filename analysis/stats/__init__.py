"""How sure a number is: intervals, tests and agreement. Pure functions that never write to their inputs."""
