"""How long a text is for a model: found with its tokenizer alone, without its weights."""

from __future__ import annotations

from collections.abc import Callable

from shotdex.store.errors import ModelUnavailable

from .families import FAMILIES, canonical_text
from .model_files import load_tokenizer, place_of


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
