"""Which geon objects are drawn for each category, in which proportions and from where: SCENES per category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .geons import Solid
from .geons_animals import dog, donkey, duck, sitting_dog
from .geons_render import View
from .geons_things import airliner, bowler, cap, car, chair, cup, ladder_chair, propeller_plane, top_hat


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture: what is built (in words), the solids, and the camera."""

    words: str
    solids: Sequence[Solid]
    view: View


def scenes() -> dict[str, list[Scene]]:
    """Return eight scenes for each category."""
    return {
        "airplane": [
            Scene("airliner", airliner(), View(35, 25)),
            Scene("airliner, less swept wings", airliner(sweep=0.25), View(-50, 30)),
            Scene("airliner, short wings", airliner(span=0.85, girth=0.16), View(60, 35)),
            Scene("airliner, from behind", airliner(), View(140, 30)),
            Scene("airliner, slender", airliner(span=1.1, sweep=0.5, girth=0.11), View(-30, 40)),
            Scene("propeller plane", propeller_plane(), View(40, 18)),
            Scene("propeller plane, short wing", propeller_plane(0.9), View(-60, 22)),
            Scene("propeller plane, from above", propeller_plane(1.1), View(55, 45)),
        ],
        "car": [
            Scene("car", car(), View(35, 20)),
            Scene("car, cabin further back", car(cabin=-0.15), View(-40, 18)),
            Scene("car, from the side", car(), View(80, 8)),
            Scene("car, low cabin", car(cabin=-0.05, height=0.32), View(-60, 15)),
            Scene("car, short nose", car(cabin=0.15, nose=0.85, height=0.46), View(50, 25)),
            Scene("car, from behind", car(), View(130, 20)),
            Scene("car, long nose", car(cabin=-0.2, nose=1.05, height=0.36), View(62, 12)),
            Scene("car, tall cabin", car(cabin=-0.1, height=0.48), View(-75, 14)),
        ],
        "chair": [
            Scene("chair", chair(), View(35, 20)),
            Scene("chair, low back", chair(back=0.6), View(-40, 22)),
            Scene("chair, from the side", chair(), View(75, 12)),
            Scene("armchair", chair(width=0.5, arms=True), View(30, 25)),
            Scene("armchair, high back", chair(width=0.46, back=1.0, arms=True), View(-55, 18)),
            Scene("ladder-back chair", ladder_chair(), View(30, 15)),
            Scene("ladder-back chair, lower", ladder_chair(back=0.75), View(-45, 20)),
            Scene("chair, from behind", chair(back=0.9), View(140, 20)),
        ],
        "cup": [
            Scene("cup", cup(), View(75, 18)),
            Scene("cup, straight wall", cup(foot=0.48, rim=0.48), View(-100, 14)),
            Scene("cup, wide and low", cup(foot=0.38, rim=0.62, height=0.75), View(65, 22)),
            Scene("cup, tall", cup(foot=0.4, rim=0.44, height=1.25), View(-70, 16)),
            Scene("cup on a saucer", cup(foot=0.34, rim=0.58, height=0.72, saucer=True), View(80, 25)),
            Scene("cup on a saucer, taller", cup(foot=0.4, rim=0.5, height=0.9, saucer=True), View(-75, 20)),
            Scene("cup, from above", cup(), View(-60, 35)),
            Scene("cup, conical", cup(foot=0.3, rim=0.55), View(95, 20)),
        ],
        "dog": [
            Scene("dog", dog(), View(50, 12)),
            Scene("dog, pointed ears", dog(pointed_ears=True, snout=0.26), View(-55, 12)),
            Scene("dog, short legs, long body", dog(legs=0.3, length=1.1), View(70, 14)),
            Scene("dog, long legs", dog(legs=0.62), View(-70, 10)),
            Scene("sitting dog", sitting_dog(), View(45, 14)),
            Scene("sitting dog, pointed ears", sitting_dog(pointed_ears=True), View(-50, 14)),
            Scene("dog, from the side", dog(snout=0.26), View(85, 8)),
            Scene("sitting dog, from the side", sitting_dog(snout=0.24), View(-75, 10)),
        ],
        "donkey": [
            Scene("donkey", donkey(), View(55, 12)),
            Scene("donkey, longer ears", donkey(ears=0.34), View(-55, 12)),
            Scene("donkey, from the side", donkey(), View(80, 8)),
            Scene("donkey, shorter legs", donkey(legs=0.7, ears=0.32), View(-65, 14)),
            Scene("donkey, from the front", donkey(ears=0.32), View(30, 12)),
            Scene("donkey, higher neck", donkey(neck=0.1), View(65, 16)),
            Scene("donkey, from the other side", donkey(legs=0.78, ears=0.34), View(-82, 6)),
            Scene("donkey, longer legs", donkey(legs=0.95, ears=0.3), View(48, 10)),
        ],
        "duck": [
            Scene("duck", duck(), View(55, 12)),
            Scene("duck, short neck", duck(neck=0.1), View(-55, 12)),
            Scene("duck, from the side", duck(), View(85, 8)),
            Scene("swimming duck", duck(standing=False), View(-70, 14)),
            Scene("swimming duck, shorter bill", duck(neck=0.12, bill=0.16, standing=False), View(60, 18)),
            Scene("duck, long neck", duck(neck=0.32), View(-40, 14)),
            Scene("duck, from the front", duck(neck=0.15), View(30, 14)),
            Scene("swimming duck, from the side", duck(neck=0.25, standing=False), View(-88, 8)),
        ],
        "hat": [
            Scene("top hat", top_hat(), View(30, 20)),
            Scene("top hat, tall, flared", top_hat(crown=0.95, flare=0.06), View(20, 15)),
            Scene("top hat, low, wide brim", top_hat(crown=0.5, flare=-0.06, brim=1.05), View(-40, 22)),
            Scene("bowler", bowler(), View(30, 20)),
            Scene("sun hat", bowler(dome=0.45, brim=1.05), View(-20, 25)),
            Scene("cap", cap(), View(60, 20)),
            Scene("cap, long peak", cap(peak=0.62), View(-50, 25)),
            Scene("top hat, tapered", top_hat(crown=0.8, flare=-0.1, brim=0.9), View(60, 12)),
        ],
    }
