"""What every benchmark here shares: the machine and commit it ran on, timing in turns, medians, ratios."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

REPEATS = 5


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that one piece of work took, run by run."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median in seconds."""
        return median(self.seconds)

    def __str__(self) -> str:
        low, high = min(self.seconds), max(self.seconds)
        return f"{self.median:.4g} s (of {len(self.seconds)}: {low:.4g} to {high:.4g})"


def in_turns(work: Mapping[str, Callable[[], object]], repeats: int = REPEATS, warm: bool = True) -> dict[str, Times]:
    """Run each piece of work `repeats` times, one after the other and again, so that all meet the same machine.

    With `warm` each is run once before, and that run is not counted.
    """
    taken: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(repeats + warm):
        for name, run in work.items():
            started = time.perf_counter()
            run()
            if turn >= warm:
                taken[name].append(time.perf_counter() - started)
    return {name: Times(tuple(seconds)) for name, seconds in taken.items()}


def heading(title: str) -> None:
    """Print what is measured, and where."""
    print(f"\n{title}")
    print(f"  {machine()}")
    print(f"  commit {commit()}, load before it {os.getloadavg()[0]:.2f}\n", flush=True)


def line(what: str, value: object, expected: str = "") -> None:
    """Print one result next to what was expected of it."""
    print(f"  {what:58} {value!s:38} {expected}".rstrip(), flush=True)


def ratio(what: str, ours: float, theirs: float, expected: str = "") -> float:
    """Print and return ours / theirs."""
    line(what, f"{ours / theirs:.3f}", expected)
    return ours / theirs


def machine() -> str:
    """Return processor, cores and memory of this machine, and what runs on it."""
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{_processor()}, {os.cpu_count()} cores, {_gigabytes()} GB, {system}"


def commit() -> str:
    """Return the commit of the working tree, and whether files differ from it."""
    return _git("rev-parse", "--short", "HEAD") + (" and changes" if _git("status", "--porcelain", "-uno") else "")


def _git(*words: str) -> str:
    here = Path(__file__).parent
    return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [row.split(":", 1)[1].strip() for row in text.splitlines() if row.startswith("model name")]
    flags = next((row for row in text.splitlines() if row.startswith("flags")), "").split()
    units = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{names[0] if names else platform.machine()} ({', '.join(units) or 'no vector unit known'})"


def _gigabytes() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)
