"""Simple solids in the sense of Biederman's geons, as signed distance functions.

A solid takes points (N, 3) and returns distances (N,): negative inside, positive outside, zero on the surface. Objects
are lists of solids; x points forward, y to the object's left, z up; the unit is about half an object.

Sources: I. Biederman, "Recognition-by-components", Psychological Review 94(2), 1987; the distance formulas follow
Inigo Quilez, https://iquilezles.org/articles/distfunctions/.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Points: TypeAlias = NDArray[np.float64]
Distances: TypeAlias = NDArray[np.float64]
Solid: TypeAlias = Callable[[Points], Distances]
Vector: TypeAlias = tuple[float, float, float]
Corner: TypeAlias = tuple[float, float]


def ellipsoid(center: Vector, radii: Vector) -> Solid:
    """An ellipsoid with half axes along x, y, z; the distance is a first-order estimate, exact on the surface."""
    middle, axes = np.asarray(center), np.asarray(radii)

    def distance(points: Points) -> Distances:
        scaled = (points - middle) / axes
        length = np.sqrt((scaled**2).sum(axis=1))
        slope = np.sqrt(((scaled / axes) ** 2).sum(axis=1))
        # At the very centre both vanish; anything clearly negative will do there.
        estimate: Distances = length * (length - 1.0) / np.maximum(slope, 1e-9)
        return np.where(slope > 1e-9, estimate, -float(axes.min()))

    return distance


def box(center: Vector, half: Vector, rounding: float = 0.02) -> Solid:
    """A box with half edges along x, y, z, its edges rounded by `rounding` (inside the stated size)."""
    middle, inner = np.asarray(center), np.asarray(half) - rounding

    def distance(points: Points) -> Distances:
        beyond = np.abs(points - middle) - inner
        outside = np.sqrt((np.maximum(beyond, 0.0) ** 2).sum(axis=1))
        nearest: Distances = outside + np.minimum(beyond.max(axis=1), 0.0) - rounding
        return nearest

    return distance


def cone(start: Vector, end: Vector, start_radius: float, end_radius: float) -> Solid:
    """A cylinder, cone or frustum from `start` to `end` with flat ends; one radius may be 0."""
    a, axis = np.asarray(start), np.subtract(end, start)
    height = float(np.sqrt((axis**2).sum()))
    unit, slope = axis / height, end_radius - start_radius

    def distance(points: Points) -> Distances:
        along = (points - a) @ unit
        radial = np.sqrt(np.maximum(((points - a) ** 2).sum(axis=1) - along**2, 0.0))
        # Nearest point on an end disc.
        cap = np.where(along < height / 2, start_radius, end_radius)
        cap_x, cap_y = np.maximum(radial - cap, 0.0), np.abs(along - height / 2) - height / 2
        # Nearest point on the slanted side.
        side = np.clip(((radial - start_radius) * slope + along * height) / (slope**2 + height**2), 0.0, 1.0)
        side_x, side_y = radial - start_radius - side * slope, along - side * height
        inside = (side_x < 0) & (cap_y < 0)
        nearest: Distances = np.sqrt(np.minimum(cap_x**2 + cap_y**2, side_x**2 + side_y**2))
        return np.where(inside, -nearest, nearest)

    return distance


def cylinder(start: Vector, end: Vector, radius: float) -> Solid:
    """A cylinder with flat ends."""
    return cone(start, end, radius, radius)


def tube(path: Sequence[Vector], start_radius: float, end_radius: float | None = None) -> Solid:
    """A round tube along a polyline, its radius changing evenly from piece to piece; the ends are round."""
    knots = np.asarray(path, dtype=float)
    radii = np.linspace(start_radius, start_radius if end_radius is None else end_radius, len(knots))

    def distance(points: Points) -> Distances:
        best = np.full(len(points), np.inf)
        for a, b, radius_a, radius_b in zip(knots, knots[1:], radii, radii[1:], strict=False):
            axis = b - a
            along = np.clip((points - a) @ axis / (axis @ axis), 0.0, 1.0)
            gap = points - a - along[:, None] * axis
            best = np.minimum(best, np.sqrt((gap**2).sum(axis=1)) - radius_a - along * (radius_b - radius_a))
        return best

    return distance


def arc(center: Vector, radii: Corner, degrees: Corner, pieces: int = 16) -> list[Vector]:
    """Points of an elliptic arc in the x-z plane, for `tube`; 0 degrees points forward, 90 up."""
    angles = np.radians(np.linspace(degrees[0], degrees[1], pieces + 1))
    x, y, z = center
    return [(x + radii[0] * math.cos(angle), y, z + radii[1] * math.sin(angle)) for angle in angles]


def prism(outline: Sequence[Corner], axis: str, low: float, high: float) -> Solid:
    """A polygon drawn in the two other axes (in the order x, y, z) and extruded along `axis` from `low` to `high`."""
    corners, across = np.asarray(outline, dtype=float), "xyz".index(axis)
    plane = [index for index in range(3) if index != across]

    def distance(points: Points) -> Distances:
        flat = _polygon(points[:, plane], corners)
        slab = np.abs(points[:, across] - (low + high) / 2) - (high - low) / 2
        outside = np.sqrt(np.maximum(flat, 0.0) ** 2 + np.maximum(slab, 0.0) ** 2)
        nearest: Distances = outside + np.minimum(np.maximum(flat, slab), 0.0)
        return nearest

    return distance


def _polygon(points: Points, corners: Points) -> Distances:
    """Signed distance (N,) of points (N, 2) to a closed polygon (K, 2), by the even-odd rule."""
    squared, inside = np.full(len(points), np.inf), np.zeros(len(points), dtype=bool)
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge, offset = b - a, points - a
        along = np.clip(offset @ edge / (edge @ edge), 0.0, 1.0)
        squared = np.minimum(squared, ((offset - along[:, None] * edge) ** 2).sum(axis=1))
        if a[1] != b[1]:
            crosses = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
            inside ^= crosses & (points[:, 0] < a[0] + (points[:, 1] - a[1]) * edge[0] / edge[1])
    nearest: Distances = np.sqrt(squared)
    return np.where(inside, -nearest, nearest)


def cut(solid: Solid, tool: Solid) -> Solid:
    """The first solid with the second taken away."""
    return lambda points: np.maximum(solid(points), -tool(points))


def both_sides(solid: Solid) -> Solid:
    """The solid, drawn at y > 0, and its mirror image at y < 0: legs, wings, ears."""

    def distance(points: Points) -> Distances:
        return solid(np.stack([points[:, 0], np.abs(points[:, 1]), points[:, 2]], axis=1))

    return distance


def turned(solid: Solid, axis: str, degrees: float, pivot: Vector) -> Solid:
    """The solid turned about an axis through `pivot`; counter-clockwise seen from the axis' tip."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.eye(3)
    turn[first, first] = turn[second, second] = cosine
    turn[second, first], turn[first, second] = sine, -sine
    # Points are turned back by the inverse (the transpose), hence p @ R instead of R @ p.
    return lambda points: solid((points - pivot) @ turn + pivot)
