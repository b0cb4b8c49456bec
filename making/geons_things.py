"""Airplane, car, chair, cup and hat put together from geons; arguments change proportions, not the kind of thing."""

from __future__ import annotations

from .geons import Solid, arc, both_sides, box, cone, cut, cylinder, ellipsoid, prism, tube


def airliner(span: float = 1.0, sweep: float = 0.4, girth: float = 0.14) -> list[Solid]:
    """A cylinder with a round nose and a tapering tail, swept wings with an engine under each, and three tail fins."""
    root, tip = 0.32, 0.16
    wing = [(0.3, 0.05), (0.3 - sweep, span), (0.3 - sweep - tip, span), (0.3 - root - 0.15, 0.05)]
    tailplane = [(-0.7, 0.03), (-0.9, 0.4), (-1.02, 0.4), (-0.97, 0.03)]
    fin = [(-0.6, 0.08), (-0.9, 0.48), (-1.06, 0.48), (-1.0, 0.05)]
    pod = 0.3 - 0.4 * sweep
    return [
        cylinder((-0.45, 0, 0), (0.65, 0, 0), girth),
        ellipsoid((0.65, 0, 0), (0.3, girth, girth)),
        cone((-0.45, 0, 0), (-1.05, 0, 0.07), girth, 0.035),
        both_sides(prism(wing, "z", -0.07, -0.02)),
        both_sides(prism(tailplane, "z", 0.05, 0.085)),
        prism(fin, "y", -0.02, 0.02),
        both_sides(cylinder((pod - 0.24, 0.42 * span, -0.14), (pod + 0.1, 0.42 * span, -0.14), 0.075)),
    ]


def propeller_plane(span: float = 1.05) -> list[Solid]:
    """A small plane: a cone-shaped body, one straight wing on top, a propeller, and wheels."""
    return [
        cylinder((0.05, 0, 0), (0.6, 0, 0), 0.17),
        cone((0.05, 0, 0), (-0.95, 0, 0.06), 0.17, 0.05),
        ellipsoid((0.62, 0, 0), (0.2, 0.09, 0.09)),
        box((0.72, 0, 0), (0.02, 0.045, 0.36), 0.015),
        box((0.2, 0, 0.2), (0.19, span, 0.03), 0.025),
        box((-0.85, 0, 0.09), (0.12, 0.4, 0.02), 0.015),
        prism([(-0.62, 0.08), (-0.84, 0.42), (-0.98, 0.42), (-0.98, 0.05)], "y", -0.02, 0.02),
        both_sides(cylinder((0.35, 0.2, -0.34), (0.35, 0.26, -0.34), 0.1)),
        both_sides(tube([(0.3, 0.08, -0.1), (0.35, 0.2, -0.34)], 0.025)),
    ]


def car(cabin: float = 0.0, height: float = 0.4, nose: float = 0.95) -> list[Solid]:
    """A long box on four wheels with a trapezoid cabin; `cabin` shifts it, `height` is the cabin's."""
    top, wheels = 0.52, (0.6, -0.6)
    body: Solid = box(((nose - 0.95) / 2, 0, 0.37), ((nose + 0.95) / 2, 0.42, 0.17), 0.05)
    for x in wheels:
        body = cut(body, both_sides(cylinder((x, 0.2, 0.21), (x, 0.5, 0.21), 0.25)))
    roof = [(cabin - 0.62, top), (cabin - 0.4, top + height), (cabin + 0.2, top + height), (cabin + 0.5, top)]
    low, high = top + 0.06, top + height - 0.07
    rear_pane = [(cabin - 0.5, low), (cabin - 0.36, high), (cabin - 0.12, high), (cabin - 0.12, low)]
    front_pane = [(cabin - 0.04, low), (cabin - 0.04, high), (cabin + 0.15, high), (cabin + 0.35, low)]
    tyres = [both_sides(cylinder((x, 0.24, 0.21), (x, 0.44, 0.21), 0.21)) for x in wheels]
    hubs = [both_sides(cylinder((x, 0.3, 0.21), (x, 0.455, 0.21), 0.1)) for x in wheels]
    lamps = both_sides(ellipsoid((nose, 0.28, 0.42), (0.03, 0.08, 0.06)))
    panes = [prism(pane, "y", -0.375, 0.375) for pane in (rear_pane, front_pane)]
    return [body, prism(roof, "y", -0.36, 0.36), *tyres, *hubs, *panes, lamps]


def chair(width: float = 0.42, back: float = 0.8, arms: bool = False) -> list[Solid]:
    """A flat box for the seat, one for the back, four cylinders for legs; armrests if wanted."""
    seat, inset = 0.75, width - 0.06
    solids = [
        box((0, 0, seat), (0.42, width, 0.05), 0.03),
        box((-0.39, 0, seat + 0.05 + back / 2), (0.045, width, back / 2), 0.03),
        both_sides(cylinder((0.36, inset, 0), (0.36, inset, seat), 0.05)),
        both_sides(cylinder((-0.36, inset, 0), (-0.36, inset, seat), 0.05)),
    ]
    if arms:
        rest = seat + 0.4
        solids.append(both_sides(box((0.0, width, rest), (0.4, 0.05, 0.035), 0.02)))
        solids.append(both_sides(cylinder((0.33, width, seat), (0.33, width, rest), 0.04)))
    return solids


def ladder_chair(back: float = 0.95) -> list[Solid]:
    """A chair whose back is two posts and three slats."""
    seat, width = 0.75, 0.42
    slats = [box((-0.38, 0, seat + back * part), (0.03, width - 0.05, 0.07), 0.02) for part in (0.3, 0.6, 0.9)]
    return [
        box((0, 0, seat), (0.44, width + 0.02, 0.05), 0.03),
        both_sides(cylinder((0.36, 0.36, 0), (0.36, 0.36, seat), 0.045)),
        both_sides(cylinder((-0.38, 0.36, 0), (-0.38, 0.36, seat + back + 0.1), 0.045)),
        *slats,
    ]


def cup(foot: float = 0.42, rim: float = 0.5, height: float = 1.0, saucer: bool = False) -> list[Solid]:
    """A hollow frustum with a bent tube for a handle (on the left of the picture's right); a disc as saucer."""
    wall, middle = 0.05, 0.52 * height
    outer = cone((0, 0, 0), (0, 0, height), foot, rim)
    hollow = cut(outer, cone((0, 0, 0.08), (0, 0, height + 0.05), foot - wall, rim - wall))
    # The handle starts inside the wall and is cut off at the hollow, so that its ends do not show in the cup.
    loop = tube(arc(((foot + rim) / 2, 0, middle), (0.36, 0.33 * height), (112, -112)), 0.06)
    handle = cut(loop, cone((0, 0, -0.1), (0, 0, height + 0.1), foot - 0.01, rim - 0.01))
    solids = [hollow, handle]
    if saucer:
        solids.append(cone((0, 0, -0.12), (0, 0, -0.02), foot, 0.95))
        solids.append(cylinder((0, 0, 0.6 * height), (0, 0, 0.8 * height), foot + 0.8 * (rim - foot) - wall))
    return solids


def top_hat(crown: float = 0.75, flare: float = 0.0, brim: float = 0.85) -> list[Solid]:
    """A disc for the brim, a cylinder (or frustum) for the crown, a second one for the band."""
    radius = 0.5
    return [
        ellipsoid((0, 0, 0.02), (brim, brim * 0.9, 0.05)),
        cone((0, 0, 0), (0, 0, crown), radius, radius + flare),
        cone((0, 0, 0.03), (0, 0, 0.2), radius + 0.02, radius + 0.02 + flare * 0.17 / crown),
    ]


def bowler(dome: float = 0.55, brim: float = 0.8) -> list[Solid]:
    """A disc and a half ellipsoid with a band."""
    below = box((0, 0, -1), (2, 2, 1.0), 0.0)
    return [
        ellipsoid((0, 0, 0.01), (brim, brim * 0.85, 0.05)),
        cut(ellipsoid((0, 0, 0.05), (0.52, 0.46, dome)), below),
        cut(cut(ellipsoid((0, 0, 0.05), (0.54, 0.48, dome)), below), box((0, 0, 1.2), (1, 1, 1.03), 0.0)),
    ]


def cap(peak: float = 0.5) -> list[Solid]:
    """A half ball with a button on top and a flat peak in front."""
    below = box((0, 0, -1), (2, 2, 1.0), 0.0)
    shade = cut(ellipsoid((0.4, 0, 0.02), (0.35 + peak, 0.44, 0.045)), ellipsoid((0, 0, 0), (0.5, 0.5, 0.5)))
    return [
        cut(ellipsoid((0, 0, 0), (0.54, 0.5, 0.5)), below),
        shade,
        ellipsoid((0, 0, 0.5), (0.07, 0.07, 0.04)),
    ]
