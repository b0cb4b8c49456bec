"""Figures: arrays and pictures in, a matplotlib Figure out; nothing here reads the store.

`save` writes any of them as PNG, SVG or PDF.
"""

from .accuracy import accuracy_figure
from .confusion import confusion_figure
from .counts import counts_figure
from .ladder import LadderRow, ladder_figure
from .map_extras import MapExtras
from .map_points import point_map
from .map_thumbnails import thumbnail_map
from .reliability import reliability_figure
from .samples import samples_figure
from .sheet import contact_sheet
from .style import save
from .topk import topk_figure

__all__ = [
    "LadderRow",
    "MapExtras",
    "accuracy_figure",
    "confusion_figure",
    "contact_sheet",
    "counts_figure",
    "ladder_figure",
    "point_map",
    "reliability_figure",
    "samples_figure",
    "save",
    "thumbnail_map",
    "topk_figure",
]
