"""Every error that a user can cause or meet, in one family; they are defined in `store/errors.py`."""

from __future__ import annotations

from shotdex.store.errors import (
    BadSql,
    EmptyQuery,
    EmptyStore,
    EncoderError,
    EncoderMismatch,
    EvaluationError,
    MissingLabels,
    ModelOutputInvalid,
    ModelUnavailable,
    QueryError,
    SchemaTooNew,
    OptionError,
    ShotdexError,
    SourceError,
    StoreCorrupt,
    StoreError,
    StoreLocked,
    StoreNotFound,
    UnknownClass,
    UnreadableImage,
)

__all__ = [
    "BadSql",
    "EmptyQuery",
    "EmptyStore",
    "EncoderError",
    "EncoderMismatch",
    "EvaluationError",
    "MissingLabels",
    "ModelOutputInvalid",
    "ModelUnavailable",
    "QueryError",
    "SchemaTooNew",
    "OptionError",
    "ShotdexError",
    "SourceError",
    "StoreCorrupt",
    "StoreError",
    "StoreLocked",
    "StoreNotFound",
    "UnknownClass",
    "UnreadableImage",
]
