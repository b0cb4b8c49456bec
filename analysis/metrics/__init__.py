"""How well predictions match labels: pure functions that never write to their inputs."""
