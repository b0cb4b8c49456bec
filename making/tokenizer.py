"""A small lower-case byte-level BPE tokenizer, trained on the captions themselves."""

from itertools import product

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from .captions import APOSTROPHE, FORMS, Vocabulary

TOKENS = 3072
LENGTH = 32
PAD, BOS, EOS = "<|pad|>", "<|startoftext|>", "<|endoftext|>"
# Where the end token has id 2 (old CLIP checkpoints), transformers pools at the largest id instead: 2 goes to another.
SPECIAL = (PAD, BOS, "<|unknown|>", EOS)


def build_tokenizer(vocabulary: Vocabulary) -> PreTrainedTokenizerFast:
    """Train the tokenizer; the same vocabulary gives the same tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(APOSTROPHE, "'"), normalizers.Lowercase(), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TOKENS,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    forms = (form.format(word, a=f"{article} {word}") for form, article, word in product(FORMS, ("a", "an"), ("cat",)))
    tokenizer.train_from_iterator([*vocabulary.phrases, *forms], trainer)
    start, end = tokenizer.token_to_id(BOS), tokenizer.token_to_id(EOS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}", special_tokens=[(BOS, start), (EOS, end)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=SPECIAL[2],
        model_max_length=LENGTH,
        padding_side="right",
    )
