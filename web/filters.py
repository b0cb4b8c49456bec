"""The parameters by which images are filtered, the same in every part of the API."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shotdex.outcomes import Selection

TEXT = 500
"""Characters of a text."""

Text = Annotated[str, StringConstraints(max_length=TEXT)]
Name = Annotated[str, StringConstraints(max_length=1_000)]

UNLABELLED = ""
"""As a value of category, condition or split: images without that label."""


class LabelFilters(BaseModel):
    """Which images: all that are set must hold; several values of one label are alternatives.

    An empty category, condition or split means images without one. `where` is a SQL condition on the columns of
    `images`.
    """

    model_config = ConfigDict(extra="forbid")

    category: list[Name] = Field(default=[], max_length=1_000)
    condition: list[Name] = Field(default=[], max_length=1_000)
    split: list[Name] = Field(default=[], max_length=1_000)
    where: Annotated[str, StringConstraints(max_length=5_000)] | None = None

    def selection(self) -> Selection:
        """Return the same for a session."""
        return Selection(
            category=_labels(self.category),
            condition=_labels(self.condition),
            split=_labels(self.split),
            where=self.where or None,
        )


class Filters(LabelFilters):
    """The same, and what runs made of the images.

    `outcome`, `true` and `predicted` are those of `run`. `flip` compares it with `against`: gained are images that only
    `against` gets right, lost those that only `run` does, changed those that they take for different classes. Of the
    cell `true`, `predicted`, left are images that only `run` has in it, and came those that only `against` has in it.
    """

    run: Name | None = None
    outcome: Literal["right", "wrong"] | None = None
    true: Name | None = None
    predicted: Name | None = None
    against: Name | None = None
    flip: Literal["gained", "lost", "changed", "left", "came"] | None = None

    def selection(self) -> Selection:
        """Return the same for a session."""
        return replace(
            super().selection(),
            run=self.run,
            outcome=self.outcome,
            true=self.true,
            predicted=self.predicted,
            against=self.against,
            flip=self.flip,
        )


def _labels(values: list[str]) -> tuple[str | None, ...]:
    return tuple(None if value == UNLABELLED else value for value in values)
