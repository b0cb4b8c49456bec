"""The model card, demo/model/README.md, written from figures measured on the exported weights."""

from pathlib import Path

import numpy as np
from transformers import CLIPModel, PreTrainedTokenizerFast

from .art import EVALUATION_CONCEPTS, PACKAGES, STYLES
from .card_text import CARD, LICENCES
from .measure import Share, categorise, retrieval
from .pictures import Pictures

CONDITIONS = ("realistic", "silhouettes", "blurred")


def write_card(
    folder: Path, model: CLIPModel, tokens: PreTrainedTokenizerFast, pictures: Pictures, minutes: int
) -> None:
    """Measure the model and write README.md and LICENSE-ART.md into its folder."""
    filled = CARD.format(
        parameters=f"{sum(p.numel() for p in model.parameters()):,}",
        vision=f"{sum(p.numel() for p in model.vision_model.parameters()):,}",
        text=f"{sum(p.numel() for p in model.text_model.parameters()):,}",
        concepts=f"{len(pictures.concepts):,}",
        pictures=f"{len(pictures.pixels):,}",
        trained=f"{int((~pictures.held_out).sum()):,}",
        held=int(pictures.held_out.sum()),
        fifth=int(pictures.fifth.sum()),
        twins=int((pictures.fifth & pictures.twin).sum()),
        scale=f"{model.logit_scale.exp().item():.1f}",
        minutes=minutes,
        versions=", ".join(f"{name} {version}" for name, (version, _) in PACKAGES.items()),
        retrieval=_retrieval(model, tokens, pictures),
        categories=_categories(model, tokens, pictures),
    )
    (folder / "README.md").write_text(filled, encoding="utf-8")
    (folder / "LICENSE-ART.md").write_text(LICENCES, encoding="utf-8")


def _retrieval(model: CLIPModel, tokens: PreTrainedTokenizerFast, pictures: Pictures) -> str:
    choices = {"all held-out pictures of the random fifth": pictures.fifth}
    choices["of these, not drawn exactly like another concept"] = pictures.fifth & ~pictures.twin
    choices |= {f"of these, {style}": pictures.fifth & (pictures.style == k) for k, style in enumerate(STYLES)}
    seen = ~pictures.held_out & np.isin(pictures.concept, pictures.concept[pictures.fifth])
    choices["the same concepts in the styles that were seen"] = seen
    lines = ["| pictures | recall@1 | recall@5 |", "| --- | --- | --- |"]
    for label, chosen in choices.items():
        first, five = retrieval(model, tokens, pictures, chosen)
        lines.append(f"| {label} | {first} | {five} |")
    return "\n".join(lines)


def _categories(model: CLIPModel, tokens: PreTrainedTokenizerFast, pictures: Pictures) -> str:
    lines = ["| pictures | " + " | ".join(CONDITIONS) + " |", "| --- |" + " --- |" * len(CONDITIONS)]
    outcomes = [categorise(model, tokens, pictures, condition) for condition in CONDITIONS]

    def row(label: str, shares: list[Share]) -> None:
        lines.append(f"| {label} | " + " | ".join(map(str, shares)) + " |")

    row("all", [o.share() for o in outcomes])
    row("the held-out ones", [o.share(o.unseen) for o in outcomes])
    for k, category in enumerate(EVALUATION_CONCEPTS):
        row(category, [o.share(o.category == k) for o in outcomes])
    for k, style in enumerate(STYLES):
        row(style, [o.share(o.style == k) for o in outcomes])
    photo = [categorise(model, tokens, pictures, c, "a photo of a {}.").share() for c in CONDITIONS]
    row('all, prompted "a photo of a {}."', photo)
    return "\n".join(lines)
