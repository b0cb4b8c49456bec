"""What is said about the drawings: names and keywords, sentences around them, and the concepts each caption means."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .art import Concept

FORMS = (
    "{}",
    "{}",
    "{}",
    "{a}",
    "the {}",
    "a photo of {a}.",
    "a photo of {a}",
    "a photo of the {}.",
    "a picture of {a}",
    "a picture of the {}",
    "a drawing of {a}",
    "a drawing of {a}.",
    "a drawing of the {}",
    "an image of {a}",
    "an emoji of {a}",
    "{} emoji",
    "a small picture of {a}",
    "a black and white drawing of {a}",
    "a silhouette of {a}",
    "a blurry photo of {a}.",
    "an icon of {a}",
    "this is {a}.",
)

# Words a person says first and emojibase does not list, or lists no higher than for a plunger (cup) or a tire (car).
ADDED = {
    "2615": ("cup", "mug", "cup of coffee", "coffee cup", "teacup"),
    "1F375": ("cup",),
    "1F964": ("cup",),
    "1F697": ("car",),
    "1F698": ("car",),
    "1F695": ("car",),
    "1F436": ("dog",),
    "1F429": ("dog",),
    "1F393": ("hat",),
    "1F9E2": ("hat", "cap", "baseball cap"),
    "1FA91": ("wooden chair",),
    "2708": ("aircraft",),
    "1F986": ("mallard",),
}

APOSTROPHE = "\u2019"  # as emojibase writes it

# How much a concept is meant by a word that is its whole name, the last word of its name, or only a keyword of it.
WHOLE, LAST, KEYWORD = 4.0, 3.0, 1.0


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Every phrase that can be said, and what it means.

    names      one plain name per concept
    phrases    every name, keyword and name word, sorted
    meaning    float32 (phrases, concepts): rows sum to 1, how much the phrase means each concept
    said       for each concept the positions in `phrases` of its keywords
    """

    names: list[str]
    phrases: list[str]
    meaning: Tensor
    said: list[npt.NDArray[np.int64]]


def plain_name(concept: Concept) -> str:
    """Return the name as it is said: "flag: Norway" is "flag of norway", "keycap: 3" is "keycap 3"."""
    name = concept.name.lower().replace(APOSTROPHE, "'")
    return name.replace("flag: ", "flag of ").replace(": ", " ")


def build_vocabulary(concepts: list[Concept]) -> Vocabulary:
    """Collect the phrases of all concepts with their meanings."""
    weights: dict[str, dict[int, float]] = {}
    for position, concept in enumerate(concepts):
        for phrase, weight in _phrases(concept).items():
            weights.setdefault(phrase, {})[position] = weight
    phrases = sorted(weights)
    meaning = torch.zeros(len(phrases), len(concepts))
    said: list[list[int]] = [[] for _ in concepts]
    for row, phrase in enumerate(phrases):
        for position, weight in weights[phrase].items():
            meaning[row, position] = weight
            said[position].append(row)
    meaning /= meaning.sum(1, keepdim=True)
    return Vocabulary([plain_name(c) for c in concepts], phrases, meaning, [np.array(s) for s in said])


def sentence(phrase: str, rng: np.random.Generator) -> str:
    """Put the phrase into one of FORMS, with an article; plurals get one as well, as in people's prompt templates."""
    article = "an" if phrase[:1] in "aeiou" else "a"
    return FORMS[int(rng.integers(len(FORMS)))].format(phrase, a=f"{article} {phrase}")


def draw_captions(vocabulary: Vocabulary, count: int, rng: np.random.Generator) -> tuple[list[str], Tensor]:
    """Draw captions and their meanings, float32 (count, concepts): names, phrases, and two keywords of one concept."""
    captions, rows = [], []
    shared = np.flatnonzero(((vocabulary.meaning > 0).sum(1) > 1).numpy())
    position = {phrase: i for i, phrase in enumerate(vocabulary.phrases)}
    for kind in rng.random(count):
        concept = int(rng.integers(len(vocabulary.names)))
        if kind < 0.35:
            captions.append(sentence(vocabulary.names[concept], rng))
            rows.append(vocabulary.meaning[position[vocabulary.names[concept]]])
        elif kind < 0.85:
            row = int(rng.choice(shared if kind < 0.7 else vocabulary.said[concept]))
            captions.append(sentence(vocabulary.phrases[row], rng))
            rows.append(vocabulary.meaning[row])
        else:
            first, second = rng.choice(vocabulary.said[concept], 2)
            joint = vocabulary.meaning[first] * vocabulary.meaning[second]
            captions.append(f"{vocabulary.phrases[first]} {vocabulary.phrases[second]}")
            rows.append(joint / joint.sum())
    return captions, torch.stack(rows)


def _phrases(concept: Concept) -> dict[str, float]:
    """The phrases that mean this concept, each with its weight; later lines outrank earlier ones."""
    name = plain_name(concept)
    words = name.replace("(", "").replace(")", "").replace(",", "").split()
    small = {"of", "with", "and", "in", "the", "on", "at", "from", "or"}
    phrases = dict.fromkeys((w for w in words if w not in small), KEYWORD)
    phrases |= {k.lower().replace(APOSTROPHE, "'"): KEYWORD for k in (*concept.keywords, concept.group)}
    phrases |= dict.fromkeys(ADDED.get(concept.hexcode, ()), LAST)
    phrases[words[-1]] = LAST
    if concept.group == "flags" and name.startswith("flag of "):
        country = name.removeprefix("flag of ")
        phrases |= {"flag": KEYWORD, country: WHOLE, f"{country} flag": WHOLE}
    return phrases | {name: WHOLE}
