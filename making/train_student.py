"""Stage 2: the vision tower learns to place every picture, also blends of two, where the teacher places it."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from transformers import CLIPModel

from .augment import Augmentation, augment, mix, plain
from .captions import build_vocabulary
from .loop import batches
from .networks import Teacher, build_clip, image_vectors, part_vectors, whiten_patches
from .pictures import Pictures
from .sitting import Sitting
from .together import rank, workers
from .tokenizer import LENGTH, build_tokenizer
from .train_teacher import load_teacher

PEAK = 1.2e-3
BATCH = 96
MIXED = 0.1  # share of each batch
KEPT = 40  # patches of 64, until WHOLE of the time has passed
WHOLE = 0.75
SCALE = 16.0  # of cosines, before the softmax over all concepts


def new_model(pictures: Pictures) -> CLIPModel:
    """Return the untrained model, its text tower sized for the tokenizer."""
    torch.manual_seed(2)
    tokens = build_tokenizer(build_vocabulary(pictures.concepts))
    return build_clip(len(tokens), tokens.pad_token_id, tokens.bos_token_id, tokens.eos_token_id, LENGTH)


def train_student(pictures: Pictures, cache: Path, minutes: float) -> None:
    """Train the vision tower for `minutes`; leaves cache/student.pt, and resumes from it."""
    rng, generator = np.random.default_rng([2, rank()]), torch.Generator().manual_seed(2 + 100 * rank())
    teacher, model = load_teacher(cache), new_model(pictures)
    model.text_model.requires_grad_(False)
    model.text_projection.requires_grad_(False)
    seen = torch.from_numpy(np.flatnonzero(~pictures.held_out))
    pixels, concept = torch.from_numpy(pictures.pixels), torch.from_numpy(pictures.concept)
    mirror, epoch = torch.from_numpy(pictures.mirror), 0
    whiten_patches(model, plain(pixels[seen[::5]]))
    sitting = Sitting(model, cache / "student.pt", minutes, PEAK)
    while not sitting.over:
        for batch in batches(len(seen), BATCH // workers(), rng):
            rows = seen[batch]
            how = grown(sitting.progress)
            images = mix(augment(pixels[rows], mirror[rows], how, 64, generator), MIXED, generator)
            whole = sitting.progress >= WHOLE
            vectors = image_vectors(model, images) if whole else part_vectors(model, images, KEPT)
            sitting.learn(imitation(vectors, teacher, images, concept[rows]))
            if sitting.over:
                break
        epoch += 1
        if rank() == 0 and (epoch % 2 == 0 or sitting.over):
            sitting.keep(f"held-out recall {name_recall(sitting.average.state, teacher, pictures)}")


def grown(progress: float) -> Augmentation:
    """Changes that begin small and are in full force after 60 % of the time: all at once, the tower learns nothing."""
    g = min(1.0, progress / 0.6)
    return Augmentation(
        silhouette=0.04 + 0.04 * g,
        blur=0.08 + 0.07 * g,
        grey=0.06 + 0.04 * g,
        part=0.05 * g,
        colour=0.15 + 0.1 * g,
        degrees=4 + 6 * g,
        scale=(0.92 - 0.12 * g, 1.08 + 0.12 * g),
        shift=0.03 + 0.05 * g,
    )


def imitation(vectors: Tensor, teacher: Teacher, images: Tensor, concept: Tensor) -> Tensor:
    """Cosine to the teacher's vector, agreement on the names, and the true name where the picture is not a blend."""
    target = teacher(images)
    wanted = (SCALE * target @ teacher.names.T).softmax(-1)
    scores = SCALE * vectors @ teacher.names.T
    whole = int(len(images) * MIXED)
    agree = F.cross_entropy(scores, wanted)
    named = F.cross_entropy(scores[whole:], concept[whole:], label_smoothing=0.05)
    return 4 * (1 - (vectors * target).sum(-1)).mean() + 0.5 * agree + 0.5 * named


@torch.no_grad()
def name_recall(weights: dict[str, Tensor], teacher: Teacher, pictures: Pictures) -> str:
    """Recall@1 and @5 with the teacher's name vectors, on the held-out pictures of the random fifth."""
    model = new_model(pictures)
    model.load_state_dict(weights)
    model.eval()
    rows = np.flatnonzero(pictures.fifth)
    scores = image_vectors(model, plain(torch.from_numpy(pictures.pixels[rows]))) @ teacher.names.T
    right = scores.topk(5).indices == torch.from_numpy(pictures.concept[rows])[:, None]
    return f"@1 {right[:, 0].float().mean():.3f} @5 {right.any(1).float().mean():.3f}"
