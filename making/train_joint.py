"""Stage 4: both towers together, pictures against the names as the text tower now says them."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from transformers import CLIPModel

from .augment import augment, mix
from .captions import build_vocabulary, draw_captions, sentence
from .loop import batches
from .measure import encode_captions, retrieval
from .networks import image_vectors
from .pictures import Pictures
from .sitting import Sitting
from .together import rank, workers
from .tokenizer import build_tokenizer
from .train_student import BATCH, MIXED, SCALE, grown, imitation, new_model
from .train_teacher import load_teacher
from .train_text import meaning_loss, said

PEAK = 3e-4
RENEW = 20  # steps after which the names' vectors are computed again


def merged(pictures: Pictures, cache: Path) -> CLIPModel:
    """Return the student's averaged vision tower and the averaged text tower in one model."""
    model = new_model(pictures)
    student = torch.load(cache / "student.pt", weights_only=True)["average"]
    text = torch.load(cache / "text.pt", weights_only=True)["average"]
    model.load_state_dict({key: (text if key.startswith("text") else student)[key] for key in student})
    return model


def train_joint(pictures: Pictures, cache: Path, minutes: float) -> None:
    """Train for `minutes` from the two towers; leaves cache/joint.pt, and resumes from it."""
    rng, generator = np.random.default_rng([4, rank()]), torch.Generator().manual_seed(4 + 100 * rank())
    vocabulary = build_vocabulary(pictures.concepts)
    tokens, teacher, model = build_tokenizer(vocabulary), load_teacher(cache), merged(pictures, cache)
    seen = torch.from_numpy(np.flatnonzero(~pictures.held_out & ~pictures.twin))
    pixels, concept = torch.from_numpy(pictures.pixels), torch.from_numpy(pictures.concept)
    mirror, step, epoch = torch.from_numpy(pictures.mirror), 0, 0
    sitting = Sitting(model, cache / "joint.pt", minutes, PEAK)
    while not sitting.over:
        for batch in batches(len(seen), BATCH // workers(), rng):
            if step % RENEW == 0:
                bank = encode_captions(model, tokens, vocabulary.names)
            step += 1
            rows = seen[batch]
            images = mix(augment(pixels[rows], mirror[rows], grown(1.0), 64, generator), MIXED, generator)
            vectors = image_vectors(model, images)
            names = said(model, tokens, [sentence(vocabulary.names[int(c)], rng) for c in concept[rows]])
            captions, meaning = draw_captions(vocabulary, BATCH // workers(), rng)
            loss = imitation(vectors, teacher, images, concept[rows]) + _named(vectors, names, bank, concept[rows])
            sitting.learn(loss + 0.3 * meaning_loss(said(model, tokens, captions), meaning, teacher.names))
            if sitting.over:
                break
        epoch += 1
        if rank() == 0 and (epoch % 2 == 0 or sitting.over):
            averaged = new_model(pictures)
            averaged.load_state_dict(sitting.average.state)
            first, five = retrieval(averaged, tokens, pictures, pictures.fifth)
            sitting.keep(f"held-out recall @1 {first} @5 {five}")


def _named(vectors: Tensor, names: Tensor, bank: Tensor, concept: Tensor) -> Tensor:
    """Cross-entropy of unblended pictures over all names: the right one as just said, the others as said lately."""
    own = (vectors * names).sum(-1, keepdim=True)
    scores = (vectors @ bank.T).scatter(1, concept[:, None], own)
    whole = int(len(vectors) * MIXED)
    return F.cross_entropy(SCALE * scores[whole:], concept[whole:], label_smoothing=0.05)
