"""Stage 3: the text tower learns to place captions where the teacher placed the concepts they mean."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from transformers import CLIPModel, PreTrainedTokenizerFast

from .captions import Vocabulary, build_vocabulary, draw_captions
from .networks import text_vectors
from .pictures import Pictures
from .sitting import Sitting
from .together import rank, workers
from .tokenizer import build_tokenizer
from .train_student import new_model
from .train_teacher import load_teacher

PEAK = 1e-3
BATCH = 256
SCALE = 16.0  # a phrase means several concepts, so it is not pressed onto one as hard as a picture is


def train_text(pictures: Pictures, cache: Path, minutes: float) -> None:
    """Train the text tower for `minutes`; leaves cache/text.pt, and resumes from it."""
    vocabulary = build_vocabulary(pictures.concepts)
    tokens, model = build_tokenizer(vocabulary), new_model(pictures)
    model.vision_model.requires_grad_(False)
    model.visual_projection.requires_grad_(False)
    places = load_teacher(cache).names
    rng = np.random.default_rng([3, rank()])
    sitting, step = Sitting(model, cache / "text.pt", minutes, PEAK), 0
    while not sitting.over:
        captions, meaning = draw_captions(vocabulary, BATCH // workers(), rng)
        sitting.learn(meaning_loss(said(model, tokens, captions), meaning, places))
        step += 1
        if rank() == 0 and (step % 100 == 0 or sitting.over):
            sitting.keep(own_name(sitting.average.state, pictures, vocabulary, tokens, places))


def said(model: CLIPModel, tokens: PreTrainedTokenizerFast, captions: list[str]) -> Tensor:
    """Unit vectors (captions, 192)."""
    ids = tokens(captions, padding=True, truncation=True, return_tensors="pt")
    return text_vectors(model, ids["input_ids"], ids["attention_mask"])


def meaning_loss(vectors: Tensor, meaning: Tensor, places: Tensor) -> Tensor:
    """How far captions are from what they mean: over the concepts, and from the weighted middle of those meant."""
    middle = F.normalize(meaning @ places, dim=-1)
    return F.cross_entropy(SCALE * vectors @ places.T, meaning) + 2 * (1 - (vectors * middle).sum(-1)).mean()


@torch.no_grad()
def own_name(
    weights: dict[str, Tensor],
    pictures: Pictures,
    vocabulary: Vocabulary,
    tokens: PreTrainedTokenizerFast,
    places: Tensor,
) -> str:
    """How many concepts' plain names land nearest to their own concept."""
    model = new_model(pictures)
    model.load_state_dict(weights)
    model.eval()
    nearest = (said(model, tokens, vocabulary.names) @ places.T).argmax(1)
    return f"names at their own place {(nearest == torch.arange(len(nearest))).float().mean():.3f}"
