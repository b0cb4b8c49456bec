"""Finding and loading a model: `demo`, a local folder, or a name on the hub. Tensors only, no remote code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shotdex import demo
from shotdex.store.errors import ModelUnavailable

from .families import Family, canonical_text, family_of, text_limit
from .field_limits import check_fields
from .hub_cache import (
    CONFIG,
    PICKLED,
    SAFETENSORS,
    TOKENIZERS,
    HubName,
    ModelFiles,
    cached_weights,
    find_cached,
    weights_in,
)
from .hub_download import SMALL, download, download_files
from .hub_errors import BOTH_WAYS, first_line
from .protocols import EncoderOptions, ImageEncoder, Samples

if TYPE_CHECKING:
    from .preprocessing import Preprocessing

DEFAULT_MODEL = "openai/clip-vit-base-patch32"
DEMO_MODEL = "demo"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in float32 on the CPU, in evaluation mode, with `get_image_features`. `folder` has its configuration."""

    name: str
    folder: Path
    revision: str
    model: Any
    preprocessing: Preprocessing
    family: Family


class TransformersLoader:
    """Implements `Loader` for CLIP and SigLIP models: `demo`, a local folder, else NAME or NAME@REVISION on the hub."""

    def matches(self, name: str) -> bool:
        """See `Loader`; a name that no model can have is refused in `load`, with what to do."""
        return True

    def canonical_name(self, name: str) -> str:
        """Return a local folder's absolute path, any other name as it is."""
        folder = Path(name).expanduser()
        return str(folder.resolve()) if name != DEMO_MODEL and folder.is_dir() else name

    def is_here(self, name: str) -> bool:
        """Tell whether it ships, is a folder, or is whole in the hub's cache."""
        if local_folder(name) is not None:
            return True
        wanted = HubName.of(name)
        # Loading says of a name that the hub could not have that it is none.
        return not wanted.is_possible() or find_cached(wanted) is not None

    def version(self, name: str) -> tuple[tuple[str, int, int], ...]:
        """Return name, size and time of the files in a folder; a revision in the hub's cache does not change."""
        folder = local_folder(name)
        try:
            found = [(file.name, file.stat()) for file in folder.iterdir()] if folder is not None else []
        except OSError:  # a folder that loading complains of
            return ()
        return tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in found))

    def load(self, name: str, options: EncoderOptions, samples: Samples | None) -> ImageEncoder:
        """See `Loader`."""
        from . import transformers_encoder

        return transformers_encoder.load_encoder(name, options, samples)


canonical_name = TransformersLoader().canonical_name


def local_folder(name: str) -> Path | None:
    """Return the folder of a model that ships or is a folder; None for a name on the hub."""
    if name == DEMO_MODEL:
        return Path(demo.MODEL)
    folder = Path(name).expanduser()
    return folder.resolve() if folder.is_dir() else None


def find_model(name: str) -> ModelFiles:
    """Return where a model's files are, downloading those that are not on this machine.

    Raises:
        ModelUnavailable: it is neither here nor available from the hub, or its folder has no weights.
    """
    folder = local_folder(name)
    if folder is not None:
        return _in_folder(name, folder)
    wanted = HubName.of(name)
    if Path(name).is_absolute():
        raise ModelUnavailable(
            f"the model's folder {name} no longer exists",
            "if it was moved, pass its new location once: --model FOLDER; it is recognised by its weights",
        )
    if not wanted.is_possible():
        raise ModelUnavailable(
            f"there is no folder {name}, and no model on the hub can have that name",
            BOTH_WAYS.format(command=wanted.command),
        )
    # What is here already is taken without a request: it is quicker, and tomorrow's answer is today's.
    found = find_cached(wanted)
    if found is None:
        snapshot = wanted.snapshot()
        here = snapshot.name if snapshot is not None and cached_weights(wanted, snapshot) else None
        download(wanted, lambda folder: _check_family(name, folder), here)
        found = find_cached(wanted)
    if found is None:
        raise ModelUnavailable(
            f"the model {name} on the hub has no preprocessor_config.json", "choose another one with --model"
        )
    return found


def _in_folder(name: str, folder: Path) -> ModelFiles:
    try:
        weights = weights_in(folder, SAFETENSORS) or weights_in(folder, PICKLED)
    except (OSError, ValueError) as error:
        raise _broken_folder(name, error) from error
    if not (folder / CONFIG).is_file():
        raise _broken_folder(name, FileNotFoundError(f"it has no {CONFIG}"))
    _check_family(name, folder)
    if not weights:
        raise _broken_folder(name, FileNotFoundError(f"it has no {SAFETENSORS[0]} or {PICKLED[0]}"))
    return ModelFiles(folder, weights)


def load_model(name: str) -> LoadedModel:
    """Load a model and its preprocessing: from here, else from the hub.

    Raises:
        ModelUnavailable: it is not there, its weights are not plain tensors, it is of no known family, or broken.
    """
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    name = canonical_name(name)
    files = find_model(name)
    try:
        return _loaded(name, files)
    except ModelUnavailable:
        raise
    except Exception as error:  # transformers, torch and safetensors each raise what they like
        if files.revision == "local":
            raise _broken_folder(name, error) from error
        raise ModelUnavailable(
            f"the model {name} in the local cache cannot be loaded: {first_line(error)}",
            f"download it again: {HubName.of(name).command} --force-download",
        ) from error


def _loaded(name: str, files: ModelFiles) -> LoadedModel:
    import transformers

    from .preprocessing import preprocessing_in
    from .towers import with_towers

    config, family = _check_family(name, files.folder)
    preprocessing = preprocessing_in(files.folder)
    of_family: Any = getattr(transformers, family.class_name) if family.class_name else base_class(config)
    more = {"add_pooling_layer": False} if config.model_type in WITHOUT_POOLER else {}
    model, found = of_family.from_pretrained(
        None,
        config=config,
        state_dict=read_tensors(files.weights),
        dtype="float32",
        output_loading_info=True,
        **more,
    )
    lacking = sorted(str(key) for key in (*found["missing_keys"], *found["mismatched_keys"]))
    if lacking:  # transformers would go on with random numbers in their place
        raise ModelUnavailable(
            f"the weights of {name} lack {len(lacking)} tensors, the first of which is {lacking[0]}",
            "save the whole model again",
        )
    for parameter in model.parameters():
        # Out of the mapped file: where a tensor lies in memory changes the last bits of what is computed with it.
        parameter.data = parameter.data.clone()
    towers = with_towers(model.eval(), family)
    return LoadedModel(name, files.folder, files.revision, towers, preprocessing, family)


WITHOUT_POOLER = ("vit", "deit", "beit")
"""Models that can be made without a pooler, which nothing here uses and which many checkpoints lack."""


def base_class(config: Any) -> Any:
    """Return the class in transformers of a configuration's model without a head."""
    import transformers

    found: Any = transformers.MODEL_MAPPING[type(config)]
    return found[0] if isinstance(found, tuple) else found


def read_tensors(files: Sequence[Path]) -> dict[str, Any]:
    """Return the tensors in files of weights, by name. Nothing in a file is ever run.

    Raises:
        ModelUnavailable: a pickled file holds more than tensors.
        Exception: of any kind, where a file is broken.
    """
    import pickle
    import zipfile

    import torch
    from safetensors.torch import load_file

    tensors: dict[str, Any] = {}
    for file in files:
        if file.suffix == ".safetensors":
            tensors |= load_file(file)
            continue
        try:
            # Files of torch before 1.6 are not zip archives and cannot be mapped into memory.
            tensors |= torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
        except pickle.UnpicklingError as error:
            raise ModelUnavailable(
                f"{file} does not contain only tensors, or is broken; shotdex runs no code from a file",
                "use a model with safetensors, or download it again",
            ) from error
    return tensors


def _check_family(name: str, folder: Path) -> tuple[Any, Family]:
    """Return a model's configuration, and its family after making sure that it can be used."""
    import transformers

    check_fields(name, folder)
    try:
        # From a folder transformers asks the hub nothing, neither for a newer version nor for a conversion.
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # transformers raises what it likes
        raise ModelUnavailable(
            f"the configuration of {name} cannot be read: {first_line(error)}", "choose another with --model"
        ) from error
    return config, family_of(name, config)


def load_tokenizer(name: str, folder: Path) -> Any:
    """Load the tokenizer that is saved with a model in `folder`; one that the cache lacks is downloaded.

    Raises:
        ModelUnavailable: there is none, or a package that it needs is missing.
    """
    import transformers

    if local_folder(name) is None and not any((folder / file).is_file() for file in TOKENIZERS):
        download_files(HubName.of(name), SMALL, folder.name)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        words = [tokenizer(word)["input_ids"] for word in ("cat", "dog")]
    except Exception as error:
        raise ModelUnavailable(
            f"the tokenizer of {name} cannot be loaded: {first_line(error)}",
            f"check the tokenizer files in {folder}",
        ) from error
    if words[0] == words[1]:  # where the files are missing transformers makes an empty tokenizer, without a word
        raise ModelUnavailable(f"{name} has no tokenizer files", "save the tokenizer in the same folder as the model")
    return tokenizer


def near(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return the hint for a name that nothing has: those that are like it, else how to see all."""
    import difflib

    found = difflib.get_close_matches(name, list(known), 3, 0.4)
    return (
        f"did you mean {' or '.join(f'--model {prefix}{one}' for one in found)}?"
        if found
        else "docs/models.md lists some"
    )


def _broken_folder(name: str, error: Exception) -> ModelUnavailable:
    return ModelUnavailable(
        f"the model in {name} cannot be loaded: {first_line(error)}",
        "it needs config.json, model.safetensors (or pytorch_model.bin) and preprocessor_config.json, as transformers "
        "saves them",
    )


def weights_digest(model: Any) -> str:
    """Return the SHA-256 over every weight by name, shape and float32 bytes: the same however the files are cut."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def token_reader(name: str) -> Callable[[str], tuple[int, tuple[int, ...]]]:
    """Return what tells of a text how many tokens it has, begin and end included, and the ids of those the model reads.

    Raises:
        ModelUnavailable: the tokenizer or the configuration is not on this machine.
    """
    import transformers

    transformers.utils.logging.set_verbosity_error()  # it warns of long texts, which is what is counted here
    wanted = HubName.of(name)
    folder = local_folder(name) or (wanted.snapshot() if wanted.is_possible() else None)
    if folder is None:
        raise ModelUnavailable(f"the model {name} is not on this machine", f"download it: {wanted.command}")
    tokenizer = load_tokenizer(name, folder)
    config, family = _check_family(name, folder)
    try:
        most = text_limit(family, config, tokenizer)
    except (ValueError, AttributeError) as error:
        raise ModelUnavailable(f"the configuration of {name} cannot be read: {error}") from error

    def read(text: str) -> tuple[int, tuple[int, ...]]:
        text = canonical_text(text, family, tokenizer)
        return len(tokenizer(text)["input_ids"]), tuple(tokenizer(text, truncation=True, max_length=most)["input_ids"])

    return read
