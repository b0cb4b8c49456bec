"""What a probe is asked for, and how the user's words for it are read."""

from __future__ import annotations

from dataclasses import dataclass

from shotdex.store.errors import OptionError
from shotdex.store.types import Space

SHOTS = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """What to compare. Without `train_where` and `test_where` the images' own splits are taken, see `gather`.

    `shots` are numbers of images a class, each with `draws` draws; `runs` names the zero-shot runs, the newest of the
    same encoder where it is empty; `outside` holds results from elsewhere, see `outside_rung`.
    """

    train_where: str | None = None
    test_where: str | None = None
    shots: tuple[int, ...] = SHOTS
    draws: int = 10
    space: Space = Space.JOINT
    seed: int = 0
    runs: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    encoder_name: str | None = None

    def __post_init__(self) -> None:
        if (self.train_where is None) != (self.test_where is None):
            given, other = (
                ("--train-where", "--test-where")
                if self.test_where is None
                else (
                    "--test-where",
                    "--train-where",
                )
            )
            raise OptionError(f"{given} says only one side", f"say the other as well: {other} SQL")
        if self.draws < 1 or any(shots < 1 for shots in self.shots):
            raise OptionError(
                f"cannot draw {self.shots} images a class {self.draws} times", "both are whole numbers from 1"
            )


def parse_shots(listed: str) -> tuple[int, ...]:
    """Return the numbers in a comma-separated list, rising and each once; `none` means no few-shot rows.

    Raises:
        OptionError: something else than whole numbers from 1.
    """
    if listed.strip().lower() == "none":
        return ()
    parts = [part.strip() for part in listed.split(",")]
    if not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise OptionError(
            f"cannot read the numbers of images a class in {listed!r}", "for example: --few-shot 1,2,4   or none"
        )
    return tuple(sorted({int(part) for part in parts}))
