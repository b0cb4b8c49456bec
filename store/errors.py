"""Every error that a user can cause or meet, in one family.

    ShotdexError                      exit status 1
    ├── OptionError                 exit status 2: a bad value, or values that do not go together
    ├── StoreError
    │   ├── StoreNotFound             no store where one was looked for
    │   ├── StoreLocked               another process holds the catalog
    │   ├── SchemaTooNew              made by a newer shotdex
    │   ├── StoreCorrupt              the catalog cannot be read
    │   ├── EncoderMismatch           the vectors here come from another encoder
    │   └── EngineUnavailable         a search engine elsewhere does not answer, or is not ready
    ├── SourceError                   nothing to index there
    ├── EncoderError
    │   ├── ModelUnavailable          the weights cannot be found or loaded
    │   └── ModelOutputInvalid        the model gave something that is not a vector
    ├── QueryError
    │   ├── EmptyQuery
    │   ├── UnreadableImage
    │   ├── BadSql                    a filter or a statement that DuckDB refuses
    │   └── EmptyStore                there is nothing to search
    └── EvaluationError
        ├── MissingLabels             no image has a category
        └── UnknownClass              no image has a category among the classes

The message says what happened, the hint what to do next. A defect of shotdex itself stays a traceback.
"""

from __future__ import annotations

from .types import IndexReport, Reason


class ShotdexError(Exception):
    """The base of the family. `str(error)` is the message; `error.hint` is the next step, or empty.

    `report` is what an indexing did before it met the error, where its images are already in the store.
    """

    exit_status = 1

    def __init__(self, message: str, hint: str = "", report: IndexReport | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.report = report


class OptionError(ShotdexError):
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


class EngineUnavailable(StoreError):
    """A search engine outside this process does not answer, is not ready, or holds other vectors than the catalog."""


class SourceError(ShotdexError):
    """There is nothing to index at the source."""


class EncoderError(ShotdexError):
    """Something about a model."""


class ModelUnavailable(EncoderError):
    """The weights cannot be found or loaded."""


class ModelOutputInvalid(EncoderError):
    """The model's output is not a finite vector of the expected length."""


class QueryError(ShotdexError):
    """Something about a query to the store."""


class EmptyQuery(QueryError):
    """A query without content."""


class UnreadableImage(QueryError):
    """An image that is a query, or that is to be drawn, cannot be read."""


class BadSql(QueryError):
    """A filter or statement that DuckDB refuses."""


class EmptyStore(QueryError):
    """There is nothing to search."""


class EvaluationError(ShotdexError):
    """Something about an evaluation."""


class MissingLabels(EvaluationError):
    """No image has a category to compare with."""


class UnknownClass(EvaluationError):
    """No image has a category among the classes."""


class ImageFailure(Exception):
    """An image that cannot be used; `reason` is from the fixed list. Never leaves shotdex: it becomes a failure."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


def truncated(detail: str) -> ImageFailure:
    """Return the error for a file that ends too early."""
    return ImageFailure(Reason.TRUNCATED, detail)


def corrupt(detail: str) -> ImageFailure:
    """Return the error for a file that contradicts itself."""
    return ImageFailure(Reason.CORRUPT, detail)


class ContainerFailure(Exception):
    """A file whose structure cannot be followed; `reason` is from the fixed list. It becomes a failure."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
