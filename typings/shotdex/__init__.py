"""Index images once; search them by text or image, and evaluate CLIP models on them with SQL: the door to shotdex.

Importing it imports nothing else: each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import errors as errors

    __version__: str


_MODULES: dict[str, str] = {}
"""Public name -> the module in this folder that has it."""

__all__ = ["__version__", "errors"]

# A type checker that saw this function would believe in every name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name == "__version__":
            value = import_module("importlib.metadata").version("shotdex")
        elif name in _MODULES:
            value = getattr(import_module(f"shotdex.{_MODULES[name]}"), name)
        elif name == "errors":
            return import_module("shotdex.errors")
        else:
            raise AttributeError(f"module 'shotdex' has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted(__all__)
