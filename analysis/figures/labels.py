"""Where labels go, so that none lies on another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import nan

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

FARTHEST = 0.15
"""A label lies no farther from its anchor than this share of the area's diagonal: a longer leader leads nobody."""

_DIRECTIONS = 24
_BAND = 6  # rings that are looked at together
_OUTWARD = 1.5  # label heights of distance that turning away from the other anchors is worth
_TIGHT = 1.5  # label heights between anchors that have one column of labels together
_COLUMN_FROM, _ISLAND = 3, 8.0  # so many anchors, no more label heights across
_AWAY = 2.0  # label heights between such anchors and their column, for the leaders


def spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move values apart until neighbours are `gap` apart, inside `low` to `high`; all NaN where there is no room.

    They keep their order, ties that of the sequence.
    """
    if len(values) * gap > high - low:
        return [nan] * len(values)
    order = sorted(range(len(values)), key=lambda index: values[index])
    moved = list(values)
    least = low + gap / 2
    for index in order:
        moved[index] = max(moved[index], least)
        least = moved[index] + gap
    most = high - gap / 2
    for index in reversed(order):
        moved[index] = min(moved[index], most)
        most = moved[index] - gap
    return moved


def place_labels(anchors: Points, sizes: Points, area: tuple[float, float], clear: float) -> Points:
    """Return where each label's lower left corner goes, NaN where there is no room for it nearby.

    No label covers another or an anchor, and all stay inside. An island of three or more anchors has its labels in
    a column beside it. Any other label takes a place near its anchor, in one of 24 directions on ever wider
    rings; it rather turns away from the other anchors, and leaders (see `leader_end`) cross labels only where nothing
    else is left. The result depends on the arguments alone.

    Args:
        anchors: (P, 2) float, x and y of what is labelled.
        sizes: (L, 2) float, the labels' widths and heights; with L < P only the first L anchors have one.
        area: width and height of what labels stay inside, from (0, 0).
        clear: how far labels keep from every anchor.

    Returns:
        (L, 2) float64.
    """
    board = _Board(anchors, sizes, area, clear)
    labelled = anchors[: len(sizes)]
    for group in _groups(labelled, _TIGHT * float(sizes[:, 1].mean()) if len(sizes) else 0.0):
        board.place(group)
    return board.corners


def leader_end(anchor: Points, corner: Points, size: Points) -> Points:
    """Return the point of a label, or of each of C labels of one size, that a line from its anchor ends at, (..., 2).

    It is the middle of the left or right side, or, from straight above or below, the nearest point.
    """
    end: Points = np.clip(anchor, corner, corner + size)
    beside = end[..., 0] != anchor[0]
    end[..., 1] = np.where(beside, corner[..., 1] + size[1] / 2, end[..., 1])
    return end


def _groups(anchors: Points, reach: float) -> list[Rows]:
    """Return which anchors lie together, each at most `reach` from another of its group, by each group's first."""
    rest, groups = list(range(len(anchors))), []
    while rest:
        group = [rest.pop(0)]
        for member in group:
            near = [row for row in rest if np.hypot(*(anchors[row] - anchors[member])) <= reach]
            group += near
            rest = [row for row in rest if row not in near]
        groups.append(np.array(group, dtype=np.int64))
    return groups


class _Board:
    """What has been placed so far."""

    def __init__(self, anchors: Points, sizes: Points, area: tuple[float, float], clear: float) -> None:
        self.anchors, self.sizes, self.area, self.clear = anchors, sizes, np.array(area), clear
        self.corners = np.full_like(sizes, np.nan)
        self.leaders = np.zeros((0, 2))
        self.boxes = np.unique(np.rint(anchors), axis=0) - clear  # of the anchors first, then of the labels
        self.extents = np.full_like(self.boxes, 2 * clear)

    def place(self, group: Rows) -> None:
        """Place a group's labels: in a column, or in columns of parts of it, or one by one."""
        across = float(np.ptp(self.anchors[group], axis=0).max())
        if len(group) < _COLUMN_FROM or across > _ISLAND * float(self.sizes[group, 1].mean()):
            for row in group.tolist():
                self._take(row, self._near(self.anchors[row], self.sizes[row]))
            return
        column = self._column(group)
        if column is not None:
            for row, corner in zip(group.tolist(), column, strict=True):
                self._take(row, corner)
            return
        ordered = group[np.argsort(self.anchors[group, 0], kind="stable")]
        self.place(ordered[: len(group) // 2])
        self.place(ordered[len(group) // 2 :])

    def _take(self, row: int, corner: Points | None) -> None:
        if corner is None:
            return
        self.corners[row] = corner
        self.boxes, self.extents = np.vstack([self.boxes, corner]), np.vstack([self.extents, self.sizes[row]])
        self.leaders = np.vstack([self.leaders, _leaders(self.anchors[row], corner[None], self.sizes[row])[0]])

    def _free(self, corners: Points, size: Points) -> npt.NDArray[np.bool_]:
        inside = np.flatnonzero(((corners >= 0) & (corners + size <= self.area)).all(axis=1))
        free = np.zeros(len(corners), dtype=bool)
        free[inside] = ~_overlap(corners[inside], size, self.boxes, self.extents)
        return free

    def _column(self, group: Rows) -> Points | None:
        """Return the corners of a column beside a group; None without room."""
        anchors, sizes = self.anchors[group], self.sizes[group]
        size = np.array([sizes[:, 0].max(), sizes[:, 1].sum()])
        middle, gap = (anchors.min(axis=0) + anchors.max(axis=0)) / 2, _AWAY * sizes[:, 1].mean()
        shifts = np.arange(0, self.area[1], 4.0)
        shifts = np.column_stack([shifts, -shifts]).ravel()
        right, left = anchors[:, 0].max() + gap, anchors[:, 0].min() - gap - size[0]
        x, y = np.meshgrid([right, left], middle[1] - size[1] / 2 + shifts)
        corners = np.column_stack([x.ravel(), y.ravel()])
        free = np.flatnonzero(self._free(corners, size) & (np.abs(corners[:, 1] + size[1] / 2 - middle[1]) < size[1]))
        if not len(free):
            return None
        return _stack(corners[free[0]], corners[free[0], 0] == left, anchors, sizes)

    def _near(self, anchor: Points, size: Points) -> Points | None:
        """Return a corner on the nearest ring with room, rather one without crossings; None without room."""
        best: Points | None = None
        for corners, radii in self._bands(anchor, size):
            if len(corners):
                crossing = self._crossing(anchor, corners, size)
                cost = radii - _OUTWARD * size[1] * _cosines(corners + size / 2 - anchor, _away(anchor, self.anchors))
                here = int(np.lexsort((cost, crossing))[0])
                best = corners[here] if best is None or not crossing[here] else best
                if not crossing[here]:
                    break
        return best

    def _bands(self, anchor: Points, size: Points) -> Iterator[tuple[Points, Points]]:
        """Yield the free corners of the next rings, and their rings' radii, (C, 2) and (C,)."""
        angles = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
        towards = np.column_stack([np.cos(angles), np.sin(angles)])
        rings = np.arange(self.clear + 1, FARTHEST * float(np.hypot(*self.area)), max(size[1] * 0.6, 1.0))
        for start in range(0, len(rings), _BAND):
            band = rings[start : start + _BAND]
            # A label touches its ring: its middle lies half its width and height beyond it.
            corners = (anchor + towards * (band[:, None, None] + size / 2) - size / 2).reshape(-1, 2)
            free = self._free(corners, size)
            yield corners[free], np.repeat(band, _DIRECTIONS)[free]

    def _crossing(self, anchor: Points, corners: Points, size: Points) -> npt.NDArray[np.bool_]:
        """Return which of C labels lie on a leader, or have one that runs through a label, (C,)."""
        lines = _leaders(anchor, corners, size)
        given = np.isfinite(self.corners[:, 0])
        labels = self.corners[given], self.sizes[given]
        through = _overlap(lines.reshape(-1, 2), np.zeros(2), *labels).reshape(lines.shape[:2])
        return through.any(axis=1) | _overlap(corners, size, self.leaders, np.zeros_like(self.leaders))


def _stack(corner: Points, leftward: bool, anchors: Points, sizes: Points) -> Points:
    """Return the corners of labels stacked up from `corner`, flush with the side that the anchors are on, (G, 2).

    They stand in the order in which their leaders are shortest in all; such leaders do not cross (but for labels of
    unlike heights, which are taken for equal).
    """
    from scipy.optimize import linear_sum_assignment

    width, heights = sizes[:, 0].max(), sizes[:, 1]
    side = corner[0] + (width if leftward else 0.0)
    slots = corner[1] + heights.mean() * (np.arange(len(sizes)) + 0.5)
    lengths = np.hypot(anchors[:, 0, None] - side, anchors[:, 1, None] - slots)
    order = np.argsort(linear_sum_assignment(lengths)[1])
    corners = np.zeros_like(sizes)
    corners[:, 0] = side - sizes[:, 0] if leftward else side
    corners[order, 1] = corner[1] + np.cumsum(heights[order]) - heights[order]
    return corners


def _overlap(corners: Points, size: Points, others: Points, extents: Points) -> npt.NDArray[np.bool_]:
    """Return which of C boxes of one size overlap any of K others, (C,)."""
    found = np.ones((len(corners), len(others)), dtype=bool)
    for axis in (0, 1):
        low, other = corners[:, axis, None], others[:, axis]
        found &= (low < other + extents[:, axis]) & (low + size[axis] > other)
    return np.asarray(found.sum(axis=1) > 0)


def _leaders(anchor: Points, corners: Points, size: Points) -> Points:
    """Return points along the leader to each of C labels, (C, 8, 2)."""
    ends = leader_end(anchor, corners, size)
    steps: Points = anchor + np.linspace(0.1, 0.95, 8)[:, None] * (ends - anchor)[:, None]
    return steps


def _away(anchor: Points, anchors: Points) -> Points:
    """Return the direction from the anchors near one to it, (2,); zero for an only one."""
    offsets = anchor - anchors
    squares = np.square(offsets).sum(axis=1)
    away: Points = (offsets * np.exp(-squares / max(squares.mean(), 1e-9))[:, None]).sum(axis=0)
    return away


def _cosines(vectors: Points, direction: Points) -> Points:
    """Return the cosine between each of C vectors and a direction, (C,); 0 where one of them has no length."""
    lengths = np.hypot(*direction) * np.hypot(*vectors.T)
    cosines: Points = np.divide(vectors @ direction, lengths, out=np.zeros(len(vectors)), where=lengths > 0)
    return cosines
