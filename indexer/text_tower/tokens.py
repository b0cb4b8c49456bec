"""From texts to token ids with the tokenizers package alone, as transformers does it with the same tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shotdex.indexer.families import without_punctuation


@dataclass(frozen=True, slots=True)
class TextRules:
    """What is done to a text besides tokenizing.

    It is cut to `most` tokens, begin and end included; filled up to as many with `padding`, unless that is None, at the
    end or, with `padded_left`, the beginning; and, where `canonical`, lower-cased and without punctuation first.
    """

    most: int
    padding: int | None
    canonical: bool
    padded_left: bool = False


class Tokens:
    """A tokenizer from the text of its `tokenizer.json`."""

    def __init__(self, tokenizer_json: str, rules: TextRules) -> None:
        from tokenizers import Tokenizer

        self._rules = rules
        self._tokenizer: Any = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(rules.most)

    def of(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text."""
        rules = self._rules
        wanted = [without_punctuation(text) for text in texts] if rules.canonical else list(texts)
        ids = [list(encoding.ids) for encoding in self._tokenizer.encode_batch(wanted)]
        if rules.padding is None:
            return ids
        filled = [[rules.padding] * (rules.most - len(row)) for row in ids]
        return [fill + row if rules.padded_left else row + fill for row, fill in zip(ids, filled, strict=True)]
