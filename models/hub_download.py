"""Downloads a model from the hub into its cache: whole or not at all, and on from where it stopped.

huggingface_hub itself begins an interrupted file again (2.4 names its temporary files at random). The layout and the
locks are its own, so that every other program finds what was downloaded here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .hub_cache import CONFIG, PICKLED, PROCESSORS, SAFETENSORS, TOKENIZERS, HubName, shards
from .hub_errors import NotEnoughRoom, is_lacking, unavailable

SMALL = (*PROCESSORS, *TOKENIZERS, "special_tokens_map.json", "added_tokens.json", "merges.txt", "bpe.codes")
"""What a model has in addition to its configuration and weights, each of which it may lack."""

SPARE = 256 << 20
"""Bytes that stay free on the disk of the cache."""

ATTEMPTS, PAUSE = 5, 1.0
"""How often a broken connection is opened again without a byte of progress, and seconds before it is."""

TIMEOUT = 20.0
"""Seconds to wait for an answer, or for the next bytes."""


class Interrupted(Exception):
    """A connection that broke again and again."""


@dataclass(frozen=True, slots=True)
class _File:
    """One file on the hub, with its `etag` and `size` in bytes."""

    name: str
    url: str
    etag: str
    size: int


def download(name: HubName, check: Callable[[Path], object], commit: str | None = None) -> None:
    """Download what loading a model needs, safetensors before `pytorch_model.bin`, at one commit.

    `check` receives the folder when only the configuration is there, and raises where the rest is of no use. `commit`
    is that of weights which are here already, in whatever form; None where they are not.

    Raises:
        ModelUnavailable: with the reason and the next step.
    """
    with _explained(name):
        sha, listed = _info(name, commit)
        source = _Source(name, sha)
        source.fetch(source.files((CONFIG,), listed), quiet=True)
        check(source.folder)
        weights = _weights(source, listed) if commit is None else []
        source.fetch([*source.files(SMALL, listed), *weights])
        source.remember()


def download_files(name: HubName, wanted: Sequence[str], commit: str | None = None, one_of: Sequence[str] = ()) -> None:
    """Download some files of a model, as many of them as it has, and the first of `one_of` that it has.

    Raises:
        ModelUnavailable: with the reason and the next step.
    """
    with _explained(name):
        sha, listed = _info(name, commit)
        source = _Source(name, sha, commit or name.revision or "main")
        source.fetch(source.files(wanted, listed), quiet=True)
        if one_of:
            found = next((file for file in one_of if source.files((file,), listed)), None)
            if found is None:
                raise _lacking(name, listed, one_of[0])
            source.fetch(source.files((found,), listed))
        source.remember()


@contextmanager
def _explained(name: HubName) -> Iterator[None]:
    from shotdex.store.errors import ModelUnavailable

    try:
        yield
    except ModelUnavailable:
        raise
    except Exception as error:  # the hub client and what it stands on each raise what they like
        raise unavailable(name, error) from error


def _info(name: HubName, commit: str | None) -> tuple[str, set[str] | None]:
    """Return the commit of a revision and the names of its files, None where the hub does not list them."""
    from huggingface_hub import HfApi

    found = HfApi().model_info(name.repo, revision=commit or name.revision, timeout=10)
    listed = {file.rfilename for file in found.siblings} if found.siblings else None
    return found.sha or commit or name.revision or "main", listed


def _weights(source: _Source, listed: set[str] | None) -> list[_File]:
    for single, index in (SAFETENSORS, PICKLED):
        if listed is None or single in listed:
            found = source.file(single)
            if found is not None:
                return [found]
        found = source.file(index) if listed is None or index in listed else None
        if found is not None:
            source.fetch([found], quiet=True)
            return source.files(shards(json.loads((source.folder / index).read_text(encoding="utf-8"))), None)
    raise _lacking(source.name, listed, f"{SAFETENSORS[0]} nor {PICKLED[0]}")


def _lacking(name: HubName, listed: set[str] | None, looked_for: str) -> Exception:
    from shotdex.store.errors import ModelUnavailable

    other = sorted(file for file in listed or () if file.endswith((".h5", ".msgpack", ".onnx", ".bin", ".safetensors")))
    has = f"; it has {', '.join(other[:3])}" if other else ""
    clip = any(file.startswith("open_clip") for file in other)
    step = f"load it with open_clip: --model hf-hub:{name.repo}" if clip else "choose another with --model"
    no = "neither" if " nor " in looked_for else "no"
    return ModelUnavailable(f"the model {name} has {no} {looked_for}{has}", step)


class _Source:
    """One commit of a model on the hub, and its folder in the cache."""

    def __init__(self, name: HubName, sha: str, at: str | None = None) -> None:
        """`at` is what the hub is asked for, where that is not the commit itself."""
        self.name = name
        self._sha = sha
        self._at = at or sha
        self.folder = name.folder / "snapshots" / sha

    def file(self, filename: str) -> _File | None:
        """Return a file as the hub describes it, None where it has none of that name."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.errors import HfHubHTTPError

        here = self.folder / filename
        if here.is_file():
            return _File(filename, "", "", here.stat().st_size)
        url = hf_hub_url(self.name.repo, filename, revision=self._at)
        try:
            found = get_hf_file_metadata(url, timeout=TIMEOUT)
        except HfHubHTTPError as error:
            if is_lacking(error):
                return None
            raise
        if not found.etag or found.size is None:
            raise ValueError(f"the response for {filename} has no ETag or no size; a proxy may have altered it")
        return _File(filename, url, found.etag, found.size)

    def files(self, names: Sequence[str], listed: set[str] | None) -> list[_File]:
        """Return those of the files that the commit has."""
        found = [self.file(name) for name in names if listed is None or name in listed]
        return [file for file in found if file is not None]

    def fetch(self, files: Iterable[_File], quiet: bool = False) -> None:
        """Download the files that are not here, unless `quiet` with progress on standard error."""
        missing = [file for file in files if not (self.folder / file.name).is_file()]
        blobs = self.name.folder / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        started = {file: _size(blobs / f"{file.etag}.incomplete") for file in missing}
        _check_room(blobs, sum(file.size - started[file] for file in missing))
        with _progress(str(self.name), 0 if quiet else sum(file.size for file in missing)) as bar:
            for file in missing:
                self._fetch_one(file, blobs, bar)

    def _fetch_one(self, file: _File, blobs: Path, bar: Any) -> None:
        from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

        blob = blobs / file.etag
        lock = self.name.folder.parent / ".locks" / self.name.folder.name / f"{file.etag}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):
            if blob.is_file():
                bar.update(file.size)
            else:
                _to_blob(file, blob, bar)
            _link(blob, self.folder / file.name)

    def remember(self) -> None:
        """Note the commit of the revision, now that all of its files are here."""
        revision = self.name.revision or "main"
        if revision == self._sha:
            return
        ref = self.name.folder / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(self._sha)


def _to_blob(file: _File, blob: Path, bar: Any) -> None:
    part = blob.with_name(f"{file.etag}.incomplete")
    before = _size(part)
    if before > file.size:
        part.unlink()
        before = 0
    bar.update(before)
    _stream(file, part, bar)
    if before and len(file.etag) == 64 and _sha256(part) != file.etag:  # what was there was something else
        part.unlink()
        bar.update(-file.size)
        _stream(file, part, bar)
    part.replace(blob)


def _stream(file: _File, part: Path, bar: Any) -> None:
    """Append to a file what it lacks; a connection that breaks is opened again.

    Raises:
        Interrupted: it broke several times without a byte in between.
    """
    left = ATTEMPTS
    while (start := _size(part)) < file.size or not part.exists():
        try:
            _append(file, part, start, bar)
        except OSError:
            raise
        except Exception as error:
            if getattr(error, "response", None) is not None or _is_final(error):
                raise
            left = ATTEMPTS if _size(part) > start else left - 1
            if not left:
                got = f"{_size(part) / 1e6:,.1f} of {file.size / 1e6:,.1f} MB of {file.name} are here"
                raise Interrupted(f"{got} ({type(error).__name__}: {error})") from error
            time.sleep(PAUSE)
    if _size(part) != file.size:
        part.unlink()
        raise ValueError(f"{file.name} arrived longer than the {file.size:,} bytes it should have")


def _append(file: _File, part: Path, start: int, bar: Any) -> None:
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        get_session,
        hf_raise_for_status,
    )

    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}  # compressed bytes have another length
    if start:
        headers["Range"] = f"bytes={start}-"
    with get_session().stream("GET", file.url, headers=headers, timeout=TIMEOUT) as response:
        hf_raise_for_status(response)
        whole = start and response.status_code == 200  # it does not know ranges: from the beginning
        if whole:
            bar.update(-start)
        with part.open("wb" if whole else "ab") as out:
            for chunk in response.iter_bytes():  # as they come: what is collected first is lost where it breaks off
                out.write(chunk)
                bar.update(len(chunk))


def _is_final(error: Exception) -> bool:
    """Tell whether trying again at once cannot help."""
    return bool({"ProxyError", "OfflineModeIsEnabled"} & {kind.__name__ for kind in type(error).__mro__})


def _link(blob: Path, pointer: Path) -> None:
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.unlink(missing_ok=True)
    try:
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    except OSError:  # Windows without the right to make links
        shutil.copyfile(blob, pointer)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free and needed > 0:
        raise NotEnoughRoom(f"{needed / 1e6:,.0f} MB are missing, {folder} has {free / 1e6:,.0f} MB free")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _progress(title: str, total: int) -> Iterator[Any]:
    """Show bytes, rate and time left on standard error: as it goes on a terminal, else a line every ten seconds."""
    from tqdm import tqdm

    watched = sys.stderr is not None and sys.stderr.isatty()
    hidden = not total or sys.stderr is None or os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS", "0") not in ("", "0")
    with tqdm(
        total=total,
        desc=f"downloading {title}",
        unit="B",
        unit_scale=True,
        file=sys.stderr,
        disable=hidden,
        mininterval=0.1 if watched else 10,
    ) as bar:
        yield bar
