"""What the hub's cache on this machine holds of a model, read without a request, and the weights in a folder.

The layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache. Each model has a folder with `refs/` (the
commit of a branch, tag or pull request), `snapshots/COMMIT/` (the files of a commit) and `blobs/`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG = "config.json"
SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
TOKENIZERS = (
    *("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"),
    "tokenizer_config.json",
)

_COMMIT = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True, slots=True)
class HubName:
    """A model on the hub: `revision` is a branch, tag, commit or refs/pr/N; None for what `main` is."""

    repo: str
    revision: str | None = None

    @classmethod
    def of(cls, name: str) -> HubName:
        """Return what NAME or NAME@REVISION stands for."""
        repo, _, revision = name.partition("@")
        return cls(repo, revision or None)

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"

    @property
    def command(self) -> str:
        """What downloads it with the hub's own program."""
        return f"hf download {self.repo}" + (f" --revision {self.revision}" if self.revision else "")

    @property
    def folder(self) -> Path:
        """The model's folder in the cache, which need not exist."""
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE) / f"models--{self.repo.replace('/', '--')}"

    def is_possible(self) -> bool:
        """Tell whether the hub could have a model of that name."""
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

        try:
            validate_repo_id(self.repo)
        except HFValidationError:
            return False
        return bool(self.repo) and ".." not in (self.revision or "").split("/")

    def commit(self) -> str | None:
        """Return the commit that the cache has for the revision, or None."""
        if not self.is_possible():
            return None
        revision = self.revision or "main"
        try:
            return (self.folder / "refs" / revision).read_text().strip()
        except OSError:
            pass
        if not _COMMIT.fullmatch(revision):
            return None
        found = sorted(path.name for path in (self.folder / "snapshots").glob(f"{revision}*"))
        return found[0] if len(found) == 1 else None

    def snapshot(self) -> Path | None:
        """Return the folder with the cached files of the revision, or None."""
        commit = self.commit()
        folder = self.folder / "snapshots" / commit if commit else None
        return folder if folder is not None and folder.is_dir() else None


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model on this machine: `folder` has its configuration, `weights` are files of tensors, `revision` a commit."""

    folder: Path
    weights: tuple[Path, ...]
    revision: str = "local"


def find_cached(name: HubName) -> ModelFiles | None:
    """Return a model that the cache holds whole, or None."""
    folder = name.snapshot()
    if folder is None or not (folder / CONFIG).is_file() or not any((folder / file).is_file() for file in PROCESSORS):
        return None
    weights = cached_weights(name, folder)
    return ModelFiles(folder, weights, folder.name) if weights else None


def cached_weights(name: HubName, folder: Path) -> tuple[Path, ...]:
    """Return the cached files of tensors for a model whose snapshot is `folder`; () if they are not all there.

    They are looked for in this order: safetensors of the revision; safetensors of the pull request in which the hub's
    bot converted `main`, which is where transformers leaves them; the revision's `pytorch_model.bin`.

    Raises:
        ValueError: the index of sharded weights is not one.
    """
    weights = weights_in(folder, SAFETENSORS)
    if not weights and name.revision in (None, "main") and (folder / CONFIG).is_file():
        weights = _converted(name, folder)
    return weights or weights_in(folder, PICKLED)


def weights_in(folder: Path, names: tuple[str, str]) -> tuple[Path, ...]:
    """Return the files of tensors in a folder: the single file, else all those of the index; () if one is missing.

    Raises:
        ValueError: the index is not one.
    """
    single, index = (folder / name for name in names)
    if single.is_file():
        return (single,)
    if not index.is_file():
        return ()
    files = tuple(folder / name for name in shards(json.loads(index.read_text(encoding="utf-8"))))
    return files if all(file.is_file() for file in files) else ()


def shards(index: Any) -> list[str]:
    """Return the names of the files that an index of sharded weights lists.

    Raises:
        ValueError: it is not such an index, or it leads out of its folder.
    """
    try:
        names = sorted(set(index["weight_map"].values()))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("the index of its weights lists no files") from error
    if any(not isinstance(name, str) or Path(name).name != name for name in names):
        raise ValueError("the index of its weights names a file outside the folder")
    return names


def _converted(name: HubName, folder: Path) -> tuple[Path, ...]:
    """Return the cached safetensors of the newest pull request that changes nothing but the form of the weights.

    transformers fetches only the weights of such a request. One that was fetched whole, as by NAME@refs/pr/N, counts
    only where its configuration is that of `main`.
    """
    refs = [path.name for path in (name.folder / "refs" / "refs" / "pr").glob("*") if path.name.isdecimal()]
    for number in sorted(refs, key=int, reverse=True):
        other = HubName(name.repo, f"refs/pr/{number}").snapshot()
        if other is None:
            continue
        config = other / CONFIG
        if not config.is_file() or config.read_bytes() == (folder / CONFIG).read_bytes():
            weights = weights_in(other, SAFETENSORS)
            if weights:
                return weights
    return ()


def cached_models() -> list[str]:
    """Return the names of the models that the cache has files of."""
    from huggingface_hub import constants

    found = Path(constants.HF_HUB_CACHE).glob("models--*/snapshots/*/*.json")
    return sorted({path.parents[2].name.removeprefix("models--").replace("--", "/") for path in found})


def cached_revisions(name: HubName) -> list[str]:
    """Return the branches, tags and pull requests of a model that the cache knows."""
    refs = name.folder / "refs"
    return sorted(path.relative_to(refs).as_posix() for path in refs.rglob("*") if path.is_file())


def near_names(name: HubName) -> list[str]:
    """Return up to three cached models whose name is like this one."""
    import difflib

    here = [model for model in cached_models() if model != name.repo]
    by_end = {model.rpartition("/")[2].casefold(): model for model in here}
    whole = difflib.get_close_matches(name.repo, here, 3, 0.6)
    ends = difflib.get_close_matches(name.repo.rpartition("/")[2].casefold(), by_end, 3, 0.7)
    return list(dict.fromkeys([*whole, *(by_end[end] for end in ends)]))[:3]
