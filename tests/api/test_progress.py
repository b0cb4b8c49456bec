"""The bar: one line of its own, whatever other bars there are."""

from __future__ import annotations

import io
from contextlib import closing

import pytest
from tqdm import tqdm

from shotdex.progress import Bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_keeps_to_its_line_beside_a_hidden_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """UMAP's own bar, which tells ours of its rounds, is drawn where nobody sees it; tqdm counts it all the same."""
    monkeypatch.setattr("sys.stderr", screen := Terminal())
    with tqdm(total=3, file=io.StringIO()), closing(Bar("placing", " rounds")) as bar:
        bar.start(3)
        for _ in range(3):
            bar.advance(1)
    shown = screen.getvalue()
    assert "placing: 100%" in shown
    assert "\x1b[A" not in shown
    assert shown.index("\n") == len(shown) - 1
