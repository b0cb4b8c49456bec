"""Finding a model's configuration, and nothing else of it: `demo`, a folder, a file, or a name on the hub."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from shotdex import demo
from shotdex.models.families import FAMILIES
from shotdex.models.model_files import DEMO_MODEL, canonical_name
from shotdex.store.errors import ModelUnavailable

CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Configuration:
    """Where a model's configuration is: `revision` is the hub's commit, or `local`; `family` its `model_type`."""

    name: str
    revision: str
    path: Path
    family: str


def find_configuration(name: str) -> Configuration:
    """Find the configuration of a CLIP or SigLIP model: here, else on the hub, from which only that file is fetched.

    The hub is asked only for what can be a name there, and only where its cache has no such file.

    Raises:
        ModelUnavailable: it is not there, cannot be read, or is of another family.
    """
    name = canonical_name(name)
    place = demo.MODEL if name == DEMO_MODEL else Path(name).expanduser()
    if place.is_dir() or place.is_file():
        path = place / CONFIG if place.is_dir() else place
        return Configuration(name, "local", path, _family(name, path))
    path = _cached_or_fetched(name)
    return Configuration(name, path.parent.name, path, _family(name, path))


def _family(name: str, path: Path) -> str:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = f"there is no {CONFIG} in it" if isinstance(error, FileNotFoundError) else str(error)
        raise ModelUnavailable(
            f"the configuration of {name} cannot be read: {why}", f"it needs a {CONFIG} as transformers saves it"
        ) from error
    family = settings.get("model_type") if isinstance(settings, dict) else None
    if isinstance(family, str) and family in FAMILIES:
        return family
    what = f"is a {family!r} model" if family else f"has no model_type in its {CONFIG}"
    raise ModelUnavailable(
        f"{name} {what}; shotdex reads {', '.join(FAMILIES)}", "name another; `shotdex model demo` always works"
    )


def _cached_or_fetched(name: str) -> Path:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(name, CONFIG)
    except HFValidationError as error:
        raise ModelUnavailable(
            f"there is no folder {name}, and no model on the hub can have that name",
            "name a model's folder or its config.json, a name on the hub such as openai/clip-vit-base-patch32, or demo",
        ) from error
    return Path(cached) if isinstance(cached, str) else _fetched(name)


def _fetched(name: str) -> Path:
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    try:
        # One short request first: offline, the download by itself tries five times, for 24 s.
        HfApi().model_info(name, timeout=10)
        return Path(hf_hub_download(name, CONFIG))
    except Exception as error:  # the hub client and what it stands on each raise what they like
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelUnavailable(
            f"the configuration of {name} is neither in the local cache nor to be had from the hub ({why})",
            f"get it while online: hf download {name} {CONFIG}   or see the model that comes along: shotdex model demo",
        ) from error
