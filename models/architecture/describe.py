"""A model described from its configuration: built without memory for its weights, and its tensors counted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shotdex import demo
from shotdex.models.families import FAMILIES, family_of
from shotdex.models.hub_cache import CONFIG, HubName
from shotdex.models.hub_download import download_files
from shotdex.models.model_files import DEMO_MODEL, canonical_name
from shotdex.store.errors import ModelUnavailable

from .parts import PROJECTION, Extent, Side, count_parts
from .types import Architecture, ImageInput, Part, Place, TextInput, Tower


@dataclass(frozen=True, slots=True)
class Configuration:
    """Where a model's configuration is: `revision` is the hub's commit, or `local`; `family` its `model_type`."""

    name: str
    revision: str
    path: Path
    family: str


def find_configuration(name: str) -> Configuration:
    """Find the configuration of a CLIP or SigLIP model: here, else on the hub, from which only that file is fetched.

    The hub is queried only for what can be a name there, and only if its cache has no such file.

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
    hint = "choose another one; `shotdex model demo` always works"
    if not isinstance(family, str):
        raise ModelUnavailable(f"{name} has no model_type in its {CONFIG}; shotdex reads {', '.join(FAMILIES)}", hint)
    import transformers

    auto: Any = transformers.AutoConfig
    try:
        config = auto.from_pretrained(str(path), trust_remote_code=False, local_files_only=True)
    except Exception as error:  # a type that transformers does not know, or a value that it cannot use
        raise ModelUnavailable(f"{name} is a {family!r} model; shotdex reads {', '.join(FAMILIES)}", hint) from error
    family_of(name, config)
    return family


def _cached_or_fetched(name: str) -> Path:
    wanted = HubName.of(name)
    if not wanted.is_possible():
        raise ModelUnavailable(
            f"there is no folder {name}, and no model on the hub can have that name",
            "pass a model's folder or its config.json, a name on the hub such as openai/clip-vit-base-patch32, or demo",
        )
    folder = wanted.snapshot()
    if folder is None or not (folder / CONFIG).is_file():
        try:
            download_files(wanted, (CONFIG,))
        except ModelUnavailable as error:
            raise ModelUnavailable(
                f"the configuration of {name} is not on this machine: {error}",
                error.hint.replace(wanted.command, f"{wanted.command} {CONFIG}").replace("--model", "shotdex model"),
            ) from error
        folder = wanted.snapshot()
    if folder is None or not (folder / CONFIG).is_file():
        raise ModelUnavailable(
            f"the model {name} has no {CONFIG}", "choose another one; `shotdex model demo` always works"
        )
    return folder / CONFIG


def describe(name: str) -> Architecture:
    """Return what a model is made of: `demo`, a folder or file with its configuration, or a name on the hub.

    No weights are read, fetched or made.

    Raises:
        ModelUnavailable: there is no configuration, or no model can be built from it.
        EncoderError: the model has a parameter that belongs to no known part.
    """
    from shotdex.models.open_clip_files import OpenClipLoader

    if OpenClipLoader().matches(name):
        from .others import describe_open_clip

        return describe_open_clip(name)
    found = find_configuration(name)
    if found.family in EXACT:
        return describe_model(found, _without_weights(found))
    from .others import describe_other

    return describe_other(found.name, found.revision, found.path)


EXACT = ("clip", "siglip", "siglip2", "metaclip_2")
"""Families, by `model_type`, whose every parameter is known by name."""


def describe_model(found: Configuration, model: Any) -> Architecture:
    """Return what a transformers model is made of, whether it has weights or stands on torch's meta device.

    Raises:
        EncoderError: as `describe`.
    """
    image, text = _image_input(model), _text_input(model, found.family)
    extents = {
        Side.VISION: _extent(model, Side.VISION, image.patches + image.class_token, image.patches),
        Side.TEXT: _extent(model, Side.TEXT, text.context, 0),
    }
    parts = count_parts(model, extents)
    vision, family = parts[Side.VISION], FAMILIES[found.family]
    return Architecture(
        name=found.name,
        revision=found.revision,
        family=found.family,
        about=family.about,
        vision=_tower(_config(model, Side.VISION), image, extents[Side.VISION], vision, _image_token(vision, image)),
        text=_tower(_config(model, Side.TEXT), text, extents[Side.TEXT], parts[Side.TEXT], family.text_token),
        comparison=parts[Side.BETWEEN],
        convention=_convention(image, text),
    )


def _without_weights(found: Configuration) -> Any:
    import torch
    import transformers

    # Any, since only half of transformers is annotated.
    logging: Any = transformers.utils.logging
    auto_config: Any = transformers.AutoConfig
    auto_model: Any = transformers.AutoModel
    logging.set_verbosity_error()
    try:
        config = auto_config.from_pretrained(str(found.path), trust_remote_code=False)
        with torch.device("meta"):
            return auto_model.from_config(config, trust_remote_code=False)
    except Exception as error:  # transformers raises what it likes about a value that it cannot use
        why = " ".join(str(error).split()) or type(error).__name__
        raise ModelUnavailable(
            f"no model can be built from the configuration of {found.name}: {why}",
            f"compare {found.path} with that of a published model of the family {found.family}",
        ) from error


def _config(model: Any, side: Side) -> Any:
    return getattr(model.config, f"{side}_config")


def _positions(model: Any, side: Side) -> int:
    return int(model.get_parameter(f"{side}_model.embeddings.position_embedding.weight").shape[0])


def _image_input(model: Any) -> ImageInput:
    config = _config(model, Side.VISION)
    class_token = hasattr(model.vision_model.embeddings, "class_embedding")
    return ImageInput(
        size=getattr(config, "image_size", None),
        patch=config.patch_size,
        channels=config.num_channels,
        patches=_positions(model, Side.VISION) - class_token,
        class_token=class_token,
    )


def _text_input(model: Any, family: str) -> TextInput:
    vocabulary = _config(model, Side.TEXT).vocab_size
    return TextInput(_positions(model, Side.TEXT), vocabulary, FAMILIES[family].padding == "max_length")


def _extent(model: Any, side: Side, tokens: int, patches: int) -> Extent:
    config = _config(model, side)
    return Extent(config.num_hidden_layers, config.hidden_size, tokens, patches)


def _image_token(parts: tuple[Part, ...], image: ImageInput) -> str:
    if any(part.place is Place.POOLING for part in parts):
        return "the pooling head"
    return "the class token" if image.class_token else ""


def _tower(
    config: Any, taken: ImageInput | TextInput, extent: Extent, parts: tuple[Part, ...], read_from: str
) -> Tower:
    projected = [part.weights // extent.width for part in parts if part.name == PROJECTION.name]
    return Tower(
        input=taken,
        layers=extent.layers,
        width=extent.width,
        heads=config.num_attention_heads,
        head_dim=extent.width // config.num_attention_heads,
        mlp_width=config.intermediate_size,
        activation=config.hidden_act,
        tokens=extent.tokens,
        output_dim=projected[0] if projected else extent.width,
        read_from=read_from,
        parts=parts,
    )


def _convention(image: ImageInput, text: TextInput) -> str:
    patches = f"{image.patches:,} patches" + ("" if image.size else ", the most it may have")
    padding = "every text is padded to that" if text.padded else "a text is padded only to the longest of its batch"
    return (
        "FLOPs count matrix products and convolutions, a multiply and an add as 2, as torch.utils.flop_counter does; "
        "not norms, softmax, activations and look-ups. "
        f"They are for one image of {patches}, and one text of {text.context:,} tokens, the whole context; {padding}."
    )
