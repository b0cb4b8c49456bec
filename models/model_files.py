"""Finding and loading a model: `demo`, a local folder, or a name on the hub. Safetensors only, no remote code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shotdex import demo
from shotdex.store.errors import ModelUnavailable

from .families import FAMILIES, canonical_text
from .protocols import EncoderOptions, ImageEncoder, Samples

DEFAULT_MODEL = "openai/clip-vit-base-patch32"
DEMO_MODEL = "demo"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in float32 on the CPU, in evaluation mode. `place` is what transformers loads it from."""

    name: str
    place: str
    revision: str
    model: Any
    image_processor: Any


class TransformersLoader:
    """Implements `Loader` for CLIP and SigLIP models: `demo`, a local folder, else a name on the hub."""

    def matches(self, name: str) -> bool:
        """See `Loader`; a name that no model can have is refused in `load`, with what to do."""
        return True

    def canonical_name(self, name: str) -> str:
        """Return a local folder's absolute path, any other name as it is."""
        folder = Path(name).expanduser()
        return str(folder.resolve()) if name != DEMO_MODEL and folder.is_dir() else name

    def is_here(self, name: str) -> bool:
        """Tell whether it ships, is a folder, or is in the hub's cache."""
        from huggingface_hub import try_to_load_from_cache

        name = self.canonical_name(name)
        if name == DEMO_MODEL or Path(name).is_dir():
            return True
        try:
            return isinstance(try_to_load_from_cache(name, "config.json"), str)
        except ValueError:  # not a name that the hub could have; loading says so
            return True

    def version(self, name: str) -> tuple[tuple[str, int, int], ...]:
        """Return name, size and time of the files in a folder; a revision in the hub's cache does not change."""
        place = Path(place_of(self.canonical_name(name)))
        try:
            found = [(file.name, file.stat()) for file in place.iterdir()]
        except OSError:  # not a folder, or one that loading complains of
            return ()
        return tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in found))

    def load(self, name: str, options: EncoderOptions, samples: Samples | None) -> ImageEncoder:
        """See `Loader`."""
        from . import transformers_encoder

        return transformers_encoder.load_encoder(name, options, samples)


canonical_name = TransformersLoader().canonical_name


def place_of(name: str) -> str:
    """Return what transformers loads a model of that canonical name from: a folder or a name on the hub."""
    return str(demo.MODEL) if name == DEMO_MODEL else name


def load_model(name: str) -> LoadedModel:
    """Load a CLIP or SigLIP model and its image processor: from here, else from the hub.

    Raises:
        ModelUnavailable: it is not there, not safetensors, not one of the known families, or broken.
    """
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    name = canonical_name(name)
    local = name == DEMO_MODEL or Path(name).is_dir()
    place = place_of(name)
    try:
        # What is here already is taken without asking the hub: it is quicker, and tomorrow's answer is today's.
        return _from_pretrained(name, place, local_files_only=True)
    except ModelUnavailable:
        raise
    except Exception as error:  # transformers, the hub client and safetensors each raise what they like
        if local:
            raise _broken_folder(name, error) from error
    _ask_hub(name)
    try:
        return _from_pretrained(name, place, local_files_only=False)
    except ModelUnavailable:
        raise
    except Exception as error:
        raise ModelUnavailable(
            f"the model {name} cannot be loaded from the hub: {_first_line(error)}", BOTH_WAYS.format(name=name)
        ) from error


BOTH_WAYS = "get it while online: hf download {name}   or use the model that comes with shotdex: --model demo"


def _from_pretrained(name: str, place: str, *, local_files_only: bool) -> LoadedModel:
    import transformers

    how = {"trust_remote_code": False, "local_files_only": local_files_only}
    config = transformers.AutoConfig.from_pretrained(place, **how)
    if config.model_type not in FAMILIES:
        raise ModelUnavailable(
            f"{name} is a {config.model_type!r} model; shotdex reads {', '.join(FAMILIES)}",
            "choose another with --model; `--model demo` comes with shotdex",
        )
    model, found = transformers.AutoModel.from_pretrained(
        place, config=config, dtype="float32", use_safetensors=True, output_loading_info=True, **how
    )
    lacking = sorted(str(key) for key in (*found["missing_keys"], *found["mismatched_keys"]))
    if lacking:  # transformers would go on with random numbers in their place
        raise ModelUnavailable(
            f"the weights of {name} lack {len(lacking)} tensors, the first of which is {lacking[0]}",
            "save the whole model again",
        )
    processor = transformers.AutoImageProcessor.from_pretrained(place, backend="pil", **how)
    return LoadedModel(name, place, _revision(place), model.eval(), processor)


def _revision(place: str) -> str:
    """Return the hub's commit of a cached model, or `local`."""
    from huggingface_hub import try_to_load_from_cache

    if Path(place).is_dir():
        return "local"
    found = try_to_load_from_cache(place, "config.json")
    return Path(found).parent.name if isinstance(found, str) else "local"


def _ask_hub(name: str) -> None:
    """Make one short request, so that being offline or misspelt is said at once, not after five retries a file.

    Raises:
        ModelUnavailable: the hub cannot be reached, or has no such model.
    """
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, timeout=10)
    except Exception as error:
        raise ModelUnavailable(
            f"the model {name} is neither in the local cache nor available from the hub ({_first_line(error)})",
            BOTH_WAYS.format(name=name),
        ) from error


def load_tokenizer(place: str) -> Any:
    """Load the tokenizer that is saved with a model.

    Raises:
        ModelUnavailable: there is none, or a package that it needs is missing.
    """
    try:
        tokenizer = _tokenizer(place)
        words = [tokenizer(word)["input_ids"] for word in ("cat", "dog")]
    except Exception as error:
        raise ModelUnavailable(
            f"the tokenizer of {place} cannot be loaded: {_first_line(error)}",
            "check the tokenizer files in the folder of the model",
        ) from error
    if words[0] == words[1]:  # where the files are missing transformers makes an empty tokenizer, without a word
        raise ModelUnavailable(f"{place} has no tokenizer files", "save the tokenizer in the same folder as the model")
    return tokenizer


def _tokenizer(place: str) -> Any:
    import transformers

    try:
        return transformers.AutoTokenizer.from_pretrained(place, trust_remote_code=False, local_files_only=True)
    except Exception:
        if Path(place).is_dir():
            raise
        return transformers.AutoTokenizer.from_pretrained(place, trust_remote_code=False)


def _broken_folder(name: str, error: Exception) -> ModelUnavailable:
    return ModelUnavailable(
        f"the model in {name} cannot be loaded: {_first_line(error)}",
        "it needs config.json, model.safetensors and preprocessor_config.json as transformers saves them",
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def weights_digest(model: Any) -> str:
    """Return the SHA-256 over every weight by name, shape and float32 bytes: the same however the files are cut."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def token_counter(name: str) -> Callable[[str], tuple[int, int]]:
    """Return what tells of a text how many tokens it has, begin and end included, and how many of them the model reads.

    Raises:
        ModelUnavailable: the tokenizer or the configuration is not on this machine.
    """
    import transformers

    transformers.utils.logging.set_verbosity_error()  # it warns of long texts, which is what is counted here
    place = place_of(name)
    tokenizer = load_tokenizer(place)
    try:
        config = transformers.AutoConfig.from_pretrained(place, local_files_only=True, trust_remote_code=False)
        family, most = FAMILIES[config.model_type], int(config.text_config.max_position_embeddings)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelUnavailable(f"the configuration of {name} cannot be read: {error}") from error

    def count(text: str) -> tuple[int, int]:
        tokens = len(tokenizer(canonical_text(text, family, tokenizer))["input_ids"])
        return tokens, min(tokens, most)

    return count
