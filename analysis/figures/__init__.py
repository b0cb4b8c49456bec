"""Figures: arrays and images in, a matplotlib Figure out; nothing here reads the store.

`save` writes any of them as PNG, SVG or PDF.
"""

from .accuracy import accuracy_figure
from .bars import counts_figure
from .comparison import ComparisonLine, comparison_figure
from .confusion import confusion_figure
from .curves import reliability_figure, topk_figure
from .map_extras import MapExtras
from .map_points import point_map
from .map_thumbnails import thumbnail_map
from .pages import contact_sheet
from .panels import accuracy_heat_map, confusion_panels
from .saving import save
from .selective import selective_figure
from .sheets import samples_figure

__all__ = [
    "ComparisonLine",
    "MapExtras",
    "accuracy_figure",
    "accuracy_heat_map",
    "comparison_figure",
    "confusion_figure",
    "confusion_panels",
    "contact_sheet",
    "counts_figure",
    "point_map",
    "reliability_figure",
    "samples_figure",
    "save",
    "selective_figure",
    "thumbnail_map",
    "topk_figure",
]
