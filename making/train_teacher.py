"""Stage 1: the teacher, in closed form: the directions that tell concepts apart whatever the style (Fisher 1936).

Linear discriminant analysis on `features.describe` of the drawings and of altered copies of them. It takes a minute,
and on held-out styles it does better than a convolutional network did that learned for twenty.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from .augment import Augmentation, augment, plain
from .features import describe
from .loop import save
from .networks import DIM, Teacher
from .pictures import Pictures
from .together import rank

COPIES = 5
MILD = Augmentation(silhouette=0.06, blur=0.12, grey=0.1, part=0, colour=0.2, degrees=8, scale=(0.8, 1.2), shift=0.08)
RIDGE = 0.01  # of the mean within-concept variance, added to each


def train_teacher(pictures: Pictures, cache: Path, minutes: float) -> None:
    """Write cache/teacher.pt: the mean, the projection, and one place per concept. `minutes` is not needed."""
    if rank():
        return
    features, concept = _copies(pictures)
    mean = features.mean(0)
    features -= mean
    count = torch.bincount(concept, minlength=len(pictures.concepts)).float()[:, None]
    middles = torch.zeros(len(count), features.shape[1]).index_add_(0, concept, features) / count
    features -= middles[concept]
    within = features.T @ features / len(features)
    within += RIDGE * within.diagonal().mean() * torch.eye(len(within))
    values, vectors = torch.linalg.eigh(within)
    whiten = vectors / values.sqrt()
    white = middles @ whiten
    _, directions = torch.linalg.eigh(white.T @ white)
    projection = whiten @ directions[:, -DIM:]
    teacher = Teacher(mean, projection, F.normalize(middles @ projection, dim=-1))
    print(f"teacher held-out recall {recall(teacher, pictures)}", flush=True)
    save(cache / "teacher.pt", mean=mean, projection=projection, names=teacher.names)


def load_teacher(cache: Path) -> Teacher:
    """Return the teacher that stage 1 left."""
    return Teacher(**torch.load(cache / "teacher.pt", weights_only=True))


def recall(teacher: Teacher, pictures: Pictures) -> str:
    """Recall@1 and @5 of the concept's own place, on the held-out pictures of the random fifth."""
    rows = np.flatnonzero(pictures.fifth)
    scores = teacher(plain(torch.from_numpy(pictures.pixels[rows]))) @ teacher.names.T
    right = scores.topk(5).indices == torch.from_numpy(pictures.concept[rows])[:, None]
    return f"@1 {right[:, 0].float().mean():.3f} @5 {right.any(1).float().mean():.3f}"


def _copies(pictures: Pictures) -> tuple[Tensor, Tensor]:
    """Features of the pictures training may see and of four altered copies of each, and whose they are."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.from_numpy(np.flatnonzero(~pictures.held_out))
    pixels, mirror = torch.from_numpy(pictures.pixels), torch.from_numpy(pictures.mirror)
    parts = []
    for copy in range(COPIES):
        for some in rows.split(256):
            images = augment(pixels[some], mirror[some], MILD, 64, generator) if copy else plain(pixels[some])
            parts.append(describe(images))
    return torch.cat(parts), torch.from_numpy(pictures.concept)[rows].repeat(COPIES)
