"""Every error that a user can cause or meet, in one family; they are defined in `store/errors.py`."""

from __future__ import annotations

from shotdex.store.errors import (
    BadSql,
    EmptyQuestion,
    EmptyStore,
    EncoderError,
    EncoderMismatch,
    EvaluationError,
    MissingLabels,
    ModelOutputInvalid,
    ModelUnavailable,
    QuestionError,
    SchemaTooNew,
    SettingsError,
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
    "EmptyQuestion",
    "EmptyStore",
    "EncoderError",
    "EncoderMismatch",
    "EvaluationError",
    "MissingLabels",
    "ModelOutputInvalid",
    "ModelUnavailable",
    "QuestionError",
    "SchemaTooNew",
    "SettingsError",
    "ShotdexError",
    "SourceError",
    "StoreCorrupt",
    "StoreError",
    "StoreLocked",
    "StoreNotFound",
    "UnknownClass",
    "UnreadableImage",
]
