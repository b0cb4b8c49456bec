"""The prompt sets that ship with the package, by name."""

from __future__ import annotations

import difflib
from pathlib import Path

from shotdex import demo
from shotdex.store.errors import SettingsError


def shipped_files() -> dict[str, Path]:
    """Return the shipped prompt files by name, in alphabetical order."""
    return {path.stem: path for path in sorted(demo.PROMPTS.glob("*.toml"))}


def find_prompt_file(wanted: str) -> Path:
    """Return the prompt file at a path, or else the shipped one of that name.

    Raises:
        SettingsError: there is neither.
    """
    path, shipped = Path(wanted).expanduser(), shipped_files()
    if path.is_file():
        return path
    if wanted in shipped:
        return shipped[wanted]
    near = difflib.get_close_matches(wanted, shipped, n=1)
    hint = (
        f"did you mean the shipped {near[0]}?" if near else f"name a TOML file, or a shipped set: {', '.join(shipped)}"
    )
    raise SettingsError(f"there is no prompt file {wanted}", hint)
