"""A small renderer for geons: orthographic sphere tracing with even grey shading and thin lines where surfaces part.

Sphere tracing: J. C. Hart, "Sphere tracing", The Visual Computer 12, 1996. Everything is numpy in float64 on a fixed
grid, so the same solids and view give the same picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .geons import Distances, Points, Solid

REACH = 2.4  # no object reaches further than this from the origin
STEPS = 90
TOUCH = 8e-4
# The distance to an ellipsoid is an estimate that can be too long, so no step trusts it fully.
CAUTION = 0.85
SAMPLES = 3  # per pixel and axis
BLOCK = 8  # samples on a side that one thick ray goes ahead for
MARGIN = 0.06  # of the picture, on each side


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera stands, in degrees: azimuth 0 looks at the front, 90 at the left side; elevation looks down."""

    azimuth: float
    elevation: float

    def axes(self) -> tuple[Points, Points, Points]:
        """Unit vectors of the picture's right, up and towards the camera."""
        turn, lift = np.radians(self.azimuth), np.radians(self.elevation)
        towards = np.array([np.cos(lift) * np.cos(turn), np.cos(lift) * np.sin(turn), np.sin(lift)])
        right = np.array([-np.sin(turn), np.cos(turn), 0.0])
        return right, np.cross(towards, right), towards


@dataclass(frozen=True, slots=True)
class Surface:
    """What each sample of a square grid sees: which solid (-1 is none), where, and the depth along the ray."""

    solid: NDArray[np.int64]
    points: Points
    depth: Distances


def render(solids: Sequence[Solid], view: View, size: int) -> Image.Image:
    """Draw solids as a size x size RGB picture on white, centred, filling it up to a 6 % margin; size % 8 is 0."""
    right, up = _frame(solids, view)
    middle = (float(right.mean()), float(up.mean()))
    half = max(float(np.ptp(right)), float(np.ptp(up))) / 2 / (1 - 2 * MARGIN)
    surface = _trace(solids, view, middle, half, size * SAMPLES)
    shade = _shade(solids, view, surface)
    pixels = shade.reshape(size, SAMPLES, size, SAMPLES).mean(axis=(1, 3))
    return Image.fromarray(np.rint(pixels * 255).astype(np.uint8), mode="L").convert("RGB")


def _frame(solids: Sequence[Solid], view: View) -> tuple[Distances, Distances]:
    """The outermost (left, right) and (bottom, top) of the object in the picture plane, from a coarse look."""
    seen = _trace(solids, view, (0.0, 0.0), REACH, 160)
    right, up, _ = view.axes()
    hits = seen.points[seen.solid.ravel() >= 0]
    return np.array([np.min(hits @ right), np.max(hits @ right)]), np.array([np.min(hits @ up), np.max(hits @ up)])


def _trace(solids: Sequence[Solid], view: View, middle: tuple[float, float], half: float, count: int) -> Surface:
    """March count x count parallel rays over a square of the picture plane.

    First one thick ray for each block of BLOCK x BLOCK: none of its thin rays can meet anything before it does.
    """
    thick = 2 * half / count * BLOCK * 0.71  # half a block's diagonal
    blocks = _plane(view, middle, half, count // BLOCK)
    ahead, _ = _march(solids, view, blocks, np.zeros(len(blocks)), thick)
    start = ahead.reshape(count // BLOCK, -1).repeat(BLOCK, axis=0).repeat(BLOCK, axis=1).ravel()
    points = _plane(view, middle, half, count)
    depth, solid = _march(solids, view, points, start, 0.0)
    hits = points - depth[:, None] * view.axes()[2]
    return Surface(solid.reshape(count, count), hits, depth.reshape(count, count))


def _plane(view: View, middle: tuple[float, float], half: float, count: int) -> Points:
    """Centres (count * count, 3) of the cells of a square in front of the object, row by row from the top."""
    right, up, towards = view.axes()
    offsets = (np.arange(count) + 0.5) / count * 2 * half - half
    x, y = np.meshgrid(middle[0] + offsets, middle[1] - offsets)
    return x.reshape(-1, 1) * right + y.reshape(-1, 1) * up + REACH * towards


def _march(
    solids: Sequence[Solid], view: View, points: Points, depth: Distances, thickness: float
) -> tuple[Distances, NDArray[np.int64]]:
    """Advance rays of a thickness (radius) until they touch; return their depth and the solid touched, -1 if none."""
    towards, depth = view.axes()[2], depth.copy()
    solid = np.full(len(points), -1, dtype=np.int64)
    active = np.flatnonzero(depth < 2 * REACH)
    for _ in range(STEPS):
        each = np.stack([one(points[active] - depth[active, None] * towards) for one in solids])
        room = each.min(axis=0) - thickness
        # A thick ray only says where to start, so it may stop early.
        touching = room < TOUCH + 0.1 * thickness
        solid[active[touching]] = each.argmin(axis=0)[touching]
        depth[active[~touching]] += room[~touching] * CAUTION
        active = active[~touching]
        active = active[depth[active] < 2 * REACH]
    return depth, solid


def _shade(solids: Sequence[Solid], view: View, surface: Surface) -> Distances:
    """Grey values (count, count) in 0..1: a lamp at the upper left, darker in corners, lines where surfaces part."""
    right, up, towards = view.axes()
    lamp = -0.45 * right + 0.75 * up + 0.6 * towards
    lamp /= np.sqrt(lamp @ lamp)
    seen = surface.solid.ravel() >= 0
    points = surface.points[seen]
    normals = _normals(solids, points)
    light = 0.34 + 0.5 * np.maximum(normals @ lamp, 0.0) + 0.12 * np.maximum(normals @ towards, 0.0)
    shade = np.ones(len(seen))
    shade[seen] = np.clip(light * _openness(solids, points, normals), 0.0, 0.95)
    grid = shade.reshape(surface.solid.shape)
    facing = np.zeros((len(seen), 3))
    facing[seen] = normals
    grid[_lines(surface, facing.reshape(*grid.shape, 3))] *= 0.25
    return grid


def _nearest(solids: Sequence[Solid], points: Points) -> Distances:
    nearest: Distances = np.stack([one(points) for one in solids]).min(axis=0)
    return nearest


def _normals(solids: Sequence[Solid], points: Points) -> Points:
    """Unit normals (N, 3) from four evaluations on a tetrahedron around each point."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], dtype=float)
    normals = np.zeros_like(points)
    for corner in corners:
        normals += corner * _nearest(solids, points + 1e-3 * corner)[:, None]
    lengths: Distances = np.sqrt((normals**2).sum(axis=1, keepdims=True))
    return normals / np.maximum(lengths, 1e-12)


def _openness(solids: Sequence[Solid], points: Points, normals: Points) -> Distances:
    """How little of the surroundings is blocked, 0.45 to 1: the usual distance-field ambient occlusion."""
    blocked = np.zeros(len(points))
    for weight, reach in ((1.0, 0.05), (0.6, 0.12), (0.35, 0.22)):
        blocked += weight * np.maximum(reach - _nearest(solids, points + reach * normals), 0.0) / reach
    return np.clip(1.0 - 0.4 * blocked, 0.45, 1.0)


def _lines(surface: Surface, normals: Points) -> NDArray[np.bool_]:
    """Samples beside a border between solids, a jump in depth or a sharp edge; a line is two samples wide."""
    lines = np.zeros(surface.solid.shape, dtype=bool)
    for axis in (0, 1):
        one = (slice(None),) * axis + (slice(1, None),)
        other = (slice(None),) * axis + (slice(None, -1),)
        border = surface.solid[one] != surface.solid[other]
        visible = (surface.solid[one] >= 0) & (surface.solid[other] >= 0)
        jump = visible & (np.abs(surface.depth[one] - surface.depth[other]) > 0.15)
        edge = visible & ((normals[one] * normals[other]).sum(axis=-1) < 0.75)
        lines[one] |= border | jump | edge
        lines[other] |= border | jump | edge
    return lines
