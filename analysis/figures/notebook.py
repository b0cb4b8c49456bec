"""The class of all figures. It imports matplotlib, so it is imported only where a figure is made."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """A matplotlib figure that a notebook shows as the value of a cell, whatever backend is active."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the figure as PNG, and the size at which to show it: 100 pixels per inch."""
        data = io.BytesIO()
        self.savefig(data, format="png")
        width, height = self.get_size_inches() * 100
        return data.getvalue(), {"width": round(width), "height": round(height)}
