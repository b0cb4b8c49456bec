"""Index images once; search them by text or image, and evaluate CLIP models on them with SQL: the door to shotdex.

Importing it imports nothing else: each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shotdex.query.sql_pages import examples, schema
    from shotdex.store.queries import Hit, Part
    from shotdex.store.types import Estimate, IndexReport, PromptSet

    from . import errors
    from .encoding import EncodeReport, encode
    from .filters import where
    from .hits import SearchResult
    from .images import ClassifiedImages, classify_images
    from .index_lines import IndexPreview
    from .reproduction import Reproduction, benchmarks, reproduce
    from .results import Estimates, Findings, SqlResult
    from .runs import Run, Runs
    from .session import Session, describe, open, parse_query

    __version__: str


_MODULES = {
    "ClassifiedImages": "images",
    "EncodeReport": "encoding",
    "Estimate": "store.types",
    "Estimates": "results",
    "Findings": "results",
    "Hit": "store.queries",
    "IndexPreview": "index_lines",
    "IndexReport": "store.types",
    "Part": "store.queries",
    "PromptSet": "store.types",
    "Reproduction": "reproduction",
    "Run": "runs",
    "Runs": "runs",
    "SearchResult": "hits",
    "Session": "session",
    "SqlResult": "results",
    "benchmarks": "reproduction",
    "classify_images": "images",
    "describe": "session",
    "encode": "encoding",
    "examples": "query.sql_pages",
    "open": "session",
    "parse_query": "session",
    "reproduce": "reproduction",
    "schema": "query.sql_pages",
    "where": "filters",
}
"""Public name -> the module that has it."""

__all__ = [
    "ClassifiedImages",
    "EncodeReport",
    "Estimate",
    "Estimates",
    "Findings",
    "Hit",
    "IndexPreview",
    "IndexReport",
    "Part",
    "PromptSet",
    "Reproduction",
    "Run",
    "Runs",
    "SearchResult",
    "Session",
    "SqlResult",
    "__version__",
    "benchmarks",
    "classify_images",
    "describe",
    "encode",
    "errors",
    "examples",
    "open",
    "parse_query",
    "reproduce",
    "schema",
    "where",
]

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
