"""Checkpoints of open_clip: `open_clip:ARCHITECTURE/TAG`, `hf-hub:NAME`, and folders with open_clip_config.json."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shotdex.store.errors import ModelUnavailable

from .hub_cache import CONFIG, PICKLED, SAFETENSORS, HubName
from .hub_download import SMALL, download_files
from .hub_errors import BOTH_WAYS, first_line
from .model_files import TransformersLoader, near
from .protocols import EncoderOptions, ImageEncoder, Samples

TAGGED, HUB, FOLDER = "open_clip:", "hf-hub:", "local-dir:"
SETTINGS = "open_clip_config.json"
WEIGHTS = (
    *("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", SAFETENSORS[0]),
    *("open_clip_pytorch_model.bin", "open_clip_pytorch_model.pth", PICKLED[0]),
)
"""What the file of weights is called, best first."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model of open_clip on this machine: its configuration, preprocessing options, weights and tokenizer files."""

    settings: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    weights: Path
    revision: str
    folder: Path


class OpenClipLoader:
    """Implements `Loader` for models of open_clip."""

    def matches(self, name: str) -> bool:
        """See `Loader`. A folder that transformers can read, too, is left to transformers."""
        if name.startswith((TAGGED, HUB, FOLDER)):
            return True
        folder = Path(name).expanduser()
        if not (folder / SETTINGS).is_file():
            return False
        return not ((folder / CONFIG).is_file() and any((folder / file).is_file() for file in (*SAFETENSORS, *PICKLED)))

    def canonical_name(self, name: str) -> str:
        """Return a local folder's absolute path, any other name as it is."""
        folder = Path(name.removeprefix(FOLDER)).expanduser()
        return str(folder.resolve()) if folder.is_dir() else name

    def is_here(self, name: str) -> bool:
        """Tell whether loading it needs no network; what is wrong with a name is said when it is loaded."""
        if not name.startswith((TAGGED, HUB)):
            return True
        try:
            return find_checkpoint(name, fetch=False) is not None
        except ModelUnavailable:
            return True

    def version(self, name: str) -> tuple[tuple[str, int, int], ...]:
        """See `Loader`."""
        return TransformersLoader().version(self.canonical_name(name))

    def load(self, name: str, options: EncoderOptions, samples: Samples | None) -> ImageEncoder:
        """See `Loader`."""
        import pickle

        from . import open_clip_encoder, transformers_encoder

        transformers_encoder.device_of(
            options.device
        )  # what is wrong with the options is said before a model is loaded
        name = self.canonical_name(name)
        found = find_checkpoint(name, fetch=True)
        if found is None:
            raise ModelUnavailable(f"{name} has no weights of open_clip", f"it needs one of {', '.join(WEIGHTS)}")
        try:
            return open_clip_encoder.OpenClipEncoder(open_clip_encoder.loaded(name, found), options, samples)
        except ModelUnavailable:
            raise
        except pickle.UnpicklingError as error:
            raise ModelUnavailable(
                f"{found.weights} does not contain only tensors; shotdex runs no code from a file",
                "use a checkpoint with safetensors",
            ) from error
        except (RuntimeError, ValueError, OSError, KeyError, TypeError) as error:
            raise ModelUnavailable(
                f"the model {name} cannot be loaded with open_clip: {first_line(error)}",
                "compare its configuration with its weights, or download it again",
            ) from error


def import_open_clip() -> Any:
    """Return the package.

    Raises:
        ModelUnavailable: it is not installed, or torchvision, which it needs, does not fit torch.
    """
    try:
        return importlib.import_module("open_clip")
    except Exception as error:  # a torchvision of another build of torch raises RuntimeError
        raise ModelUnavailable(
            f"models of open_clip need the package open_clip_torch, which cannot be imported: {first_line(error)}",
            "pip install 'shotdex[open-clip]'",
        ) from error


def find_checkpoint(name: str, fetch: bool) -> Checkpoint | None:
    """Return a checkpoint that is on this machine, downloading it first where `fetch` says so."""
    if name.startswith(TAGGED):
        return _tagged(name, fetch)
    if name.startswith(HUB):
        hub = hub_name(name, name.removeprefix(HUB))
        folder = _files(hub, (SETTINGS, *SMALL), WEIGHTS, fetch)
        return None if folder is None else _from_folder(name, folder, folder.name)
    folder = Path(name)
    if not (folder / SETTINGS).is_file():
        raise ModelUnavailable(f"the folder {name} has no {SETTINGS}", "save the model with open_clip's push_to_hf_hub")
    return _from_folder(name, folder, "local")


def find_settings(name: str) -> tuple[dict[str, Any], str]:
    """Return a model's configuration and its revision, `local` for what comes with open_clip; no weights are fetched.

    Raises:
        ModelUnavailable: there is none.
    """
    if name.startswith(TAGGED):
        open_clip = import_open_clip()
        architecture, _, tag = name.removeprefix(TAGGED).partition("/")
        settings = open_clip.get_model_config(architecture)
        if settings is None:
            raise ModelUnavailable(
                f"open_clip has no architecture {architecture}", near(architecture, open_clip.list_models(), TAGGED)
            )
        pretrained = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
        return settings | ({"quick_gelu": bool(pretrained.get("quick_gelu"))} if pretrained else {}), "local"
    folder: Path | None = Path(name)
    if name.startswith(HUB):
        folder = _files(hub_name(name, name.removeprefix(HUB)), (SETTINGS,), (SETTINGS,), fetch=True)
    if folder is None or not (folder / SETTINGS).is_file():
        raise ModelUnavailable(f"{name} has no {SETTINGS}", "save the model with open_clip's push_to_hf_hub")
    revision = folder.name if name.startswith(HUB) else "local"
    return dict(json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["model_cfg"]), revision


def _from_folder(name: str, folder: Path, revision: str) -> Checkpoint | None:
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        model, preprocessing = settings["model_cfg"], settings.get("preprocess_cfg", {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(
            f"the {SETTINGS} of {name} cannot be read: {first_line(error)}",
            "it needs a model_cfg, as open_clip saves it",
        ) from error
    weights = next((folder / file for file in WEIGHTS if (folder / file).is_file()), None)
    return None if weights is None else Checkpoint(model, preprocessing, weights, revision, folder)


def _tagged(name: str, fetch: bool) -> Checkpoint | None:
    open_clip = import_open_clip()
    architecture, _, tag = name.removeprefix(TAGGED).partition("/")
    settings = open_clip.get_model_config(architecture)
    if settings is None:
        raise ModelUnavailable(
            f"open_clip has no architecture {architecture}", near(architecture, open_clip.list_models(), TAGGED)
        )
    pretrained = open_clip.get_pretrained_cfg(architecture, tag)
    if not pretrained:
        file = Path(tag).expanduser()
        if file.is_file():
            return Checkpoint(settings, {}, file, "local", file.parent)
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        raise ModelUnavailable(
            f"open_clip has no weights {tag or '(none named)'} for {architecture}",
            near(tag, tags, f"{TAGGED}{architecture}/"),
        )
    # Weights that were trained with QuickGELU give wrong vectors in a model without, and the other way round.
    settings = settings | {"quick_gelu": bool(pretrained.get("quick_gelu", False))}
    if not pretrained.get("hf_hub"):
        return _from_address(settings, pretrained, fetch)
    repo, _, file = pretrained["hf_hub"].rpartition("/")
    hub = hub_name(name, repo)
    alternatives = WEIGHTS if not file else (str(Path(file).with_suffix(".safetensors")), file)
    folder = _files(hub, (SETTINGS, *SMALL), alternatives, fetch)
    if folder is None:
        return None
    weights = next(folder / one for one in alternatives if (folder / one).is_file())
    return Checkpoint(settings, pretrained, weights, folder.name, folder)


def _from_address(settings: Mapping[str, Any], pretrained: Mapping[str, Any], fetch: bool) -> Checkpoint | None:
    """Return a checkpoint that open_clip keeps at an address of its own, in its own cache."""
    open_clip = import_open_clip()
    url = str(pretrained.get("url", ""))
    here = Path("~/.cache/clip").expanduser() / url.rpartition("/")[2]
    if not here.is_file():
        if not fetch:
            return None
        try:
            here = Path(open_clip.download_pretrained_from_url(url))
        except Exception as error:  # urllib raises what it likes
            raise ModelUnavailable(f"{url} cannot be downloaded: {first_line(error)}", "run it again later") from error
    return Checkpoint(settings, pretrained, here, hashlib.sha256(url.encode()).hexdigest()[:12], here.parent)


def hub_name(name: str, repo: str) -> HubName:
    """Return what a name stands for on the hub.

    Raises:
        ModelUnavailable: the hub can have no model of that name.
    """
    hub = HubName.of(repo)
    if not hub.is_possible():
        raise ModelUnavailable(f"no model on the hub can have the name {name}", BOTH_WAYS.format(command=hub.command))
    return hub


def _files(hub: HubName, wanted: Sequence[str], one_of: Sequence[str], fetch: bool) -> Path | None:
    """Return the cached folder of a model that has one of some files, downloading it and others where it must."""
    folder = hub.snapshot()
    if folder is None or not any((folder / file).is_file() for file in one_of):
        if not fetch:
            return None
        download_files(hub, wanted, one_of=one_of)
        folder = hub.snapshot()
    return folder


def hub_folder(repo: str, needed: Sequence[str]) -> Path:
    """Return the cached folder of a model of transformers that a checkpoint builds on, with its small files."""
    if Path(repo).is_dir():
        return Path(repo)
    hub = hub_name(repo, repo)
    folder = hub.snapshot()
    if folder is None or not any((folder / file).is_file() for file in needed):
        download_files(hub, (CONFIG, *SMALL))
        folder = hub.snapshot()
    if folder is None:
        raise ModelUnavailable(f"the hub has no files of {repo}", BOTH_WAYS.format(command=hub.command))
    return folder
