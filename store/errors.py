"""Every error that a user can cause or meet, in one family.

    ShotdexError                      exit status 1
    ├── SettingsError                 exit status 2: a bad value, or values that do not go together
    ├── StoreError
    │   ├── StoreNotFound             no store where one was looked for
    │   ├── StoreLocked               another process holds the catalog
    │   ├── SchemaTooNew              made by a newer shotdex
    │   ├── StoreCorrupt              the catalog cannot be read
    │   └── EncoderMismatch           the vectors here come from another encoder
    ├── SourceError                   nothing to index there
    ├── EncoderError
    │   ├── ModelUnavailable          the weights cannot be found or loaded
    │   └── ModelOutputInvalid        the model gave something that is not a vector
    ├── QuestionError
    │   ├── EmptyQuestion
    │   ├── UnreadableImage
    │   ├── BadSql                    a filter or a statement that DuckDB refuses
    │   └── EmptyStore                there is nothing to search
    └── EvaluationError
        ├── MissingLabels             no image has a category
        └── UnknownClass              no image has a category among the classes

The message says what happened, the hint what to do next. A defect of shotdex itself stays a traceback.
"""

from __future__ import annotations

from .types import Reason


class ShotdexError(Exception):
    """The base of the family. `str(error)` is the message; `error.hint` is the next step, or empty."""

    exit_status = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SettingsError(ShotdexError):
    """A value that cannot be, or values that do not go together."""

    exit_status = 2


class StoreError(ShotdexError):
    """Something about the store on disk."""


class StoreNotFound(StoreError):
    """There is no store where one was looked for."""


class StoreLocked(StoreError):
    """Another process holds the catalog."""


class SchemaTooNew(StoreError):
    """The catalog was made by a newer version of shotdex."""


class StoreCorrupt(StoreError):
    """The catalog cannot be read."""


class EncoderMismatch(StoreError):
    """The store holds no vectors of this encoder, or the encoder's files changed under its name."""


class SourceError(ShotdexError):
    """There is nothing to index at the source."""


class EncoderError(ShotdexError):
    """Something about a model."""


class ModelUnavailable(EncoderError):
    """The weights cannot be found or loaded."""


class ModelOutputInvalid(EncoderError):
    """The model's output is not a finite vector of the expected length."""


class QuestionError(ShotdexError):
    """Something about a question to the store."""


class EmptyQuestion(QuestionError):
    """A question without content."""


class UnreadableImage(QuestionError):
    """A picture given as a question, or asked to be drawn, cannot be read."""


class BadSql(QuestionError):
    """A filter or statement that DuckDB refuses."""


class EmptyStore(QuestionError):
    """There is nothing to search."""


class EvaluationError(ShotdexError):
    """Something about an evaluation."""


class MissingLabels(EvaluationError):
    """No image has a category to compare with."""


class UnknownClass(EvaluationError):
    """No image has a category among the classes."""


class PictureRefused(Exception):
    """A picture that cannot be used; `reason` is from the fixed list. Never leaves shotdex: it becomes a Rejection."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


def truncated(detail: str) -> PictureRefused:
    """Return the refusal of a file that ends too early."""
    return PictureRefused(Reason.TRUNCATED, detail)


def corrupt(detail: str) -> PictureRefused:
    """Return the refusal of a file that contradicts itself."""
    return PictureRefused(Reason.CORRUPT, detail)


class Damaged(Exception):
    """A file whose structure cannot be followed; `reason` is from the fixed list. It becomes a Rejection."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
