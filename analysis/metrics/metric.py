"""What a metric is: one declaration that the report, the command line and the documentation read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from shotdex.store.types import Ids

Codes = npt.NDArray[np.integer[Any]]
"""The class of each image, as its number from 0, shape (N,)."""

Counts = npt.NDArray[np.int64]

Floats = npt.NDArray[np.float64]

Flags = npt.NDArray[np.bool_]
"""One truth value for each image, shape (N,)."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The images of a run that have a category among its classes, row for row, by rising image id.

    With N images and C classes: `image_ids` (N,) int64; `truth` and `predicted` (N,) int64, numbers of classes from 0;
    `true_rank` (N,) int64 from 1 to C; `probability`, of the predicted class, and `true_probability` (N,) float64.
    """

    classes: tuple[str, ...]
    image_ids: Ids
    truth: Codes
    predicted: Codes
    true_rank: Codes
    probability: Floats
    true_probability: Floats

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def correct(self) -> Flags:
        """Whether each image was classified correctly, (N,) bool."""
        return np.asarray(self.truth == self.predicted)

    @property
    def categories(self) -> list[str]:
        """The name of each image's own class, N of them: its label when the run was made, or the class of its alias."""
        return [self.classes[code] for code in self.truth.tolist()]

    def only(self, rows: Flags | Counts) -> Outcomes:
        """Return the outcomes of some rows, given as a mask or as indices."""
        parts = (getattr(self, name)[rows] for name in self.__slots__[1:])
        return Outcomes(self.classes, *parts)


@dataclass(frozen=True, slots=True)
class MetricOptions:
    """Options of metrics: `bins`, the number of bins of the calibration error, from 1."""

    bins: int = 15


Column = Literal["truth", "predicted", "true_rank", "probability", "true_probability"]
"""A column of `Outcomes` that a metric may need."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number over the images of a run or of a group of them.

    `name` is its key in JSON and its row in a report, `short` the heading of its column. `function` takes the outcomes
    of any N images, some of them repeated, and returns the value; NaN where it is undefined, as it is without images.
    `better` says which direction is better. `documentation` is one sentence with the source of the formula, and
    `needs` lists the columns of `Outcomes` that the value depends on. One that depends on which images of other
    classes are taken for a class, as precision does, is `across_classes`: inside one true class it is left blank.
    """

    name: str
    short: str
    function: Callable[[Outcomes, MetricOptions], float]
    better: Literal["higher", "lower"]
    documentation: str
    needs: tuple[Column, ...]
    across_classes: bool = False
