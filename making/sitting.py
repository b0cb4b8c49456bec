"""One sitting of a stage: steps until its minutes are spent, kept in a checkpoint from which the next one resumes."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPModel

from .loop import Average, Clock, save, schedule
from .muon import Muon
from .together import meet


class Sitting:
    """The model being trained with its optimizers, averaged weights and clock.

    `progress` runs from 0 to 1 and is the same in all processes that train together.
    """

    def __init__(self, model: CLIPModel, file: Path, minutes: float, peak: float) -> None:
        """Begin, or resume from `file` where an earlier sitting left it; `peak` is the highest learning rate."""
        self.model, self.file, self.peak = model, file, peak
        self.optimizers = _optimizers(model, peak)
        self.average, self.clock = Average(model), Clock(minutes)
        self.losses: list[float] = []
        if file.exists():
            state = torch.load(file, weights_only=True)
            model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.average.state, self.clock.before = state["average"], state["seconds"]
        self.progress = meet(model, self.clock.progress)

    @property
    def over(self) -> bool:
        """Whether the minutes are spent."""
        return self.progress >= 1

    def learn(self, loss: Tensor) -> None:
        """Take one step down this loss."""
        for optimizer in self.optimizers:
            schedule(optimizer, self.peak, self.progress)
            optimizer.zero_grad()
        loss.backward()
        self.progress = meet(self.model, self.clock.progress)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update(self.model, self.progress)
        self.losses.append(float(loss.detach()))

    def keep(self, figure: str) -> None:
        """Write the checkpoint, and print the mean loss since the last one beside a figure."""
        line = f"{self.file.stem} {self.clock.seconds:5.0f} s loss {np.mean(self.losses):.3f} {figure}"
        print(line, flush=True)
        self.losses.clear()
        save(
            self.file,
            model=self.model.state_dict(),
            average=self.average.state,
            optimizers=[optimizer.state_dict() for optimizer in self.optimizers],
            seconds=self.clock.seconds,
        )


def _optimizers(model: CLIPModel, rate: float) -> list[torch.optim.Optimizer]:
    """Muon (Jordan 2024) for the matrices inside the layers, AdamW for the rest; one learning rate serves both."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    inner = {name: p for name, p in trained.items() if ".layers." in name and p.ndim == 2}
    outer = [p for name, p in trained.items() if name not in inner]
    return [
        Muon(inner.values(), lr=rate, weight_decay=0.05),
        torch.optim.AdamW(outer, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]
