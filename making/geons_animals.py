"""Dog, donkey and duck put together from geons; arguments change proportions, not the kind of animal."""

from __future__ import annotations

from .geons import Solid, Vector, arc, both_sides, cone, cylinder, ellipsoid, prism, tube, turned


def _dog_head(at: Vector, snout: float, pointed_ears: bool) -> list[Solid]:
    """A ball, a tapering snout with a nose on its tip, two eyes, and ears that hang or stand."""
    x, y, z = at
    if pointed_ears:
        ear = cone((x - 0.06, 0.14, z + 0.12), (x - 0.1, 0.2, z + 0.42), 0.09, 0.015)
    else:
        ear = turned(ellipsoid((x - 0.06, 0.23, z - 0.06), (0.11, 0.05, 0.23)), "x", 10, (x, 0.2, z + 0.15))
    tip = x + 0.16 + snout
    return [
        ellipsoid((x, y, z), (0.25, 0.22, 0.22)),
        cone((x + 0.1, 0, z - 0.06), (tip, 0, z - 0.1), 0.14, 0.09),
        ellipsoid((tip, 0, z - 0.05), (0.06, 0.06, 0.05)),
        both_sides(ellipsoid((x + 0.2, 0.1, z + 0.09), (0.04, 0.04, 0.045))),
        both_sides(ear),
    ]


def dog(legs: float = 0.5, length: float = 0.9, snout: float = 0.22, pointed_ears: bool = False) -> list[Solid]:
    """A standing dog: a round-ended cylinder on four legs, a raised head on a neck, and a tail that curls up."""
    spine, front, back = legs + 0.2, length / 2, -length / 2
    tail = arc((back - 0.2, 0, spine + 0.42), (0.2, 0.34), (-70, -190))
    solids = [
        tube([(back, 0, spine), (front, 0, spine + 0.03)], 0.22, 0.26),
        cone((front, 0, spine + 0.1), (front + 0.2, 0, spine + 0.4), 0.19, 0.14),
        tube(tail, 0.07, 0.035),
        *_dog_head((front + 0.27, 0, spine + 0.5), snout, pointed_ears),
    ]
    for x in (front, back):
        solids.append(both_sides(cone((x, 0.15, spine - 0.02), (x, 0.15, 0.05), 0.1, 0.07)))
        solids.append(both_sides(ellipsoid((x + 0.05, 0.15, 0.05), (0.13, 0.09, 0.06))))
    return solids


def sitting_dog(snout: float = 0.2, pointed_ears: bool = False) -> list[Solid]:
    """A sitting dog: an upright body, straight front legs, round haunches, a tail on the floor."""
    return [
        tube([(-0.35, 0, 0.27), (0.12, 0, 0.85)], 0.27, 0.21),
        cone((0.1, 0, 0.85), (0.18, 0, 1.12), 0.17, 0.15),
        both_sides(cone((0.2, 0.14, 0.75), (0.27, 0.14, 0.05), 0.1, 0.07)),
        both_sides(ellipsoid((0.33, 0.14, 0.05), (0.14, 0.09, 0.06))),
        both_sides(ellipsoid((-0.22, 0.24, 0.24), (0.28, 0.13, 0.23))),
        both_sides(ellipsoid((0.05, 0.3, 0.06), (0.18, 0.09, 0.06))),
        tube(arc((-0.58, 0, 0.42), (0.36, 0.34), (-70, -170)), 0.07, 0.04),
        *_dog_head((0.22, 0, 1.24), snout, pointed_ears),
    ]


def donkey(legs: float = 0.85, ears: float = 0.3, neck: float = 0.0) -> list[Solid]:
    """A donkey: a barrel on four long legs with hooves, a long drooping head, long ears, a mane, a tail with a tuft."""
    spine = legs + 0.24
    crown = (0.86, 0.0, spine + 0.62 + neck)
    x, _, z = crown
    muzzle = (x + 0.36, 0.0, z - 0.42)
    ear = ellipsoid((x - 0.04, 0.12, z + 0.1 + ears), (0.06, 0.085, ears))
    solids = [
        tube([(-0.5, 0, spine), (0.42, 0, spine + 0.02)], 0.29, 0.28),
        cone((0.42, 0, spine + 0.08), (x, 0, z), 0.22, 0.14),
        cone((x - 0.05, 0, z + 0.06), muzzle, 0.175, 0.11),
        ellipsoid(muzzle, (0.15, 0.135, 0.13)),
        both_sides(ellipsoid((x + 0.12, 0.13, z - 0.02), (0.045, 0.035, 0.045))),
        both_sides(turned(ear, "x", -14, (x, 0.1, z + 0.1))),
        _mane((0.3, spine + 0.24), (x - 0.12, z + 0.16)),
        tube([(-0.76, 0, spine + 0.14), (-0.9, 0, spine - 0.05), (-0.93, 0, spine - 0.4)], 0.04, 0.03),
        ellipsoid((-0.94, 0, spine - 0.5), (0.07, 0.07, 0.17)),
    ]
    for at in (0.42, -0.5):
        solids.append(both_sides(cone((at, 0.17, spine - 0.05), (at, 0.17, 0.1), 0.11, 0.06)))
        solids.append(both_sides(cone((at + 0.01, 0.17, 0.13), (at + 0.02, 0.17, 0.0), 0.075, 0.095)))
    return solids


def _mane(low: tuple[float, float], high: tuple[float, float]) -> Solid:
    """A thin upright plate along the back of the neck, from (x, z) to (x, z)."""
    outline = [low, (low[0] - 0.06, low[1] + 0.1), (high[0] - 0.08, high[1] + 0.1), (high[0] + 0.1, high[1])]
    return prism(outline, "y", -0.045, 0.045)


def duck(neck: float = 0.2, bill: float = 0.19, standing: bool = True) -> list[Solid]:
    """A duck: an egg-shaped body with folded wings and a pointed tail, a round head, a flat bill, webbed feet."""
    top = 0.95 + neck
    solids = [
        ellipsoid((0, 0, 0.55), (0.68, 0.4, 0.36)),
        cone((-0.38, 0, 0.62), (-0.88, 0, 0.9), 0.25, 0.02),
        cone((0.4, 0, 0.65), (0.46, 0, top), 0.22, 0.15),
        ellipsoid((0.48, 0, top + 0.06), (0.25, 0.22, 0.23)),
        turned(ellipsoid((0.62 + bill, 0, top), (bill, 0.17, 0.06)), "y", 6, (0.6, 0, top)),
        both_sides(ellipsoid((0.6, 0.165, top + 0.12), (0.04, 0.035, 0.045))),
        both_sides(turned(ellipsoid((-0.12, 0.37, 0.6), (0.44, 0.09, 0.22)), "y", 10, (0, 0.37, 0.6))),
    ]
    if standing:
        foot = [(0.0, 0.14), (0.3, 0.04), (0.33, 0.16), (0.3, 0.28)]
        solids.append(both_sides(cylinder((0.05, 0.16, 0.3), (0.05, 0.16, -0.08), 0.04)))
        solids.append(both_sides(prism(foot, "z", -0.12, -0.07)))
    return solids
