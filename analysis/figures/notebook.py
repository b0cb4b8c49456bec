"""The class of all figures. It imports matplotlib, so it is imported only where a figure is made."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.text import Text

from .text import families

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase

    from .drawing import Drawing


class NotebookFigure(Figure):
    """A matplotlib figure that a notebook shows as the value of a cell, whatever backend is active."""

    drawing: Drawing | None = None
    """How the figure was drawn, and whose it is."""

    def draw(self, renderer: RendererBase) -> None:
        """Draw the figure with fonts that have its letters."""
        self.find_fonts()
        super().draw(renderer)

    def find_fonts(self) -> None:
        """Let a text with letters that the figure's font lacks have a font of the system that has them."""
        for text in self.findobj(Text):
            if others := families(text.get_text()):
                text.set_fontfamily(["DejaVu Sans", *others])

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the figure as PNG, and the size at which to show it: 100 pixels per inch."""
        data = io.BytesIO()
        self.savefig(data, format="png")
        width, height = self.get_size_inches() * 100
        return data.getvalue(), {"width": round(width), "height": round(height)}
