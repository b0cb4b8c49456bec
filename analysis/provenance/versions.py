"""The versions of what a number depends on."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from platform import python_version

PACKAGES = ("shotdex", "torch", "transformers", "faiss-cpu", "duckdb", "numpy", "pillow")


def versions() -> dict[str, str]:
    """Return the versions of what a number depends on."""
    found = {"python": python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
