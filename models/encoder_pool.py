"""The encoders of one store: texts by the kept text tower first, a model when it is needed, and each loaded once."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from shotdex.store.encoders import list_encoders, moved, rename_encoder
from shotdex.store.errors import EncoderMismatch, OptionError, StoreError
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Vectors

from .late_encoder import IndexEncoder, LateEncoder, files_of, remember, unchanged
from .protocols import EncoderOptions, ImageEncoder, Samples, checked
from .text_tower_file import NOT_USED, TextTower, open_tower, tower_file

if TYPE_CHECKING:
    from .own_encoder import AnyModel, OwnModel

log = logging.getLogger(__name__)

MANY = 2000
"""Texts from which on the model itself is loaded: it has all cores or a GPU, and its start no longer counts."""

T = TypeVar("T")
Note = Callable[[str], None]
"""Receives a line about the work."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model an `index` takes, and how it runs. None: the store's own, or what the pool has.

    `precision` is float32, bf16, fp16 or auto; `device` auto, cpu, cuda or mps.
    """

    model: str | None = None
    precision: str | None = None
    device: str | None = None
    compile: bool = False


@dataclass(slots=True)
class _Model:
    lock: Lock = field(default_factory=Lock)
    encoder: ImageEncoder | None = None


@dataclass(slots=True)
class _Texts:
    """The text tower of an encoder: `tried` once it was opened, whether or not it can be used."""

    lock: Lock = field(default_factory=Lock)
    tried: bool = False
    tower: TextTower | None = None


class EncoderPool:
    """Implements `LoadEncoder` and `TextsAtHand` for a store; safe to use from several threads.

    A text is encoded by the text tower that the store keeps, without the model. Where a model has to be loaded because
    there is none, the tower is kept for the next time.
    """

    def __init__(self, store: Store, device: str = "auto") -> None:
        """`store` need not exist yet; `device` is auto, cpu, cuda or mps."""
        self._store = store
        self._device = device
        self._lock = Lock()
        self._added: dict[tuple[str, ...], ImageEncoder] = {}
        self._models: dict[tuple[str, EncoderOptions, Hashable], _Model] = {}
        self._texts: dict[EncoderId, _Texts] = {}

    def add(self, encoder: ImageEncoder) -> None:
        """Use this encoder wherever its identity, or a model of its name, is needed."""
        with self._lock:
            self._added[encoder.id.key()] = encoder

    def use(self, model: OwnModel | ImageEncoder) -> str:
        """Use an encoder object, and return the name under which the store has it, or will have it.

        Raises:
            EncoderMismatch, OptionError, ModelOutputInvalid: see `as_encoder`.
        """
        from .own_encoder import as_encoder

        known = self._known()
        encoder = as_encoder(model, known.values())
        self.add(encoder)
        number = next((number for number, one in known.items() if one.key() == encoder.id.key()), None)
        return encoder.id.name if number is None else str(number)

    def close(self) -> None:
        """Drop every encoder, and with it its memory. One that is needed again is loaded again."""
        with self._lock:
            self._added.clear()
            self._models.clear()
            self._texts.clear()
        if "torch" in sys.modules:
            import torch

            torch.cuda.empty_cache()

    def __call__(self, identity: EncoderId) -> ImageEncoder:
        """See `LoadEncoder`."""
        if (added := self._added.get(identity.key())) is not None:
            return added
        return LateEncoder(identity, lambda: self._for_use(identity), lambda texts: self.at_hand(identity, texts))

    def at_hand(self, identity: EncoderId, texts: Sequence[str]) -> Vectors | None:
        """See `TextsAtHand`."""
        if not 0 < len(texts) < MANY or identity.key() in self._added:
            return None
        return self._with_tower(identity, lambda tower: tower.encode(texts))

    def count_tokens(self, identity: EncoderId, texts: Sequence[str]) -> list[tuple[int, int] | None]:
        """See `CountsTokens`."""
        return self._with_tower(identity, lambda tower: tower.tokens.cut(texts)) or [None] * len(texts)

    def _with_tower(self, identity: EncoderId, work: Callable[[TextTower], T]) -> T | None:
        """Return the result of `work` with the kept text tower of an encoder; None if it has no usable one."""
        with self._lock:
            kept = self._texts.setdefault(identity, _Texts())
        with kept.lock:
            if not kept.tried:
                kept.tower, kept.tried = open_tower(self._store, identity), True
            tower = kept.tower
        if tower is None:
            return None
        try:
            return work(tower)
        except Exception as error:  # what comes of a broken file is not foreseen; the model gives the same
            why = (str(error).splitlines() or [type(error).__name__])[0]
            log.warning(NOT_USED, tower_file(self._store, identity), why)
            kept.tower = None
            return None

    def model(self, identity: EncoderId) -> ImageEncoder:
        """Return the model itself, as it is now: its identity may be another one if its files changed.

        Raises:
            ModelUnavailable: it cannot be found or loaded.
            OptionError: there is no such device here.
        """
        if (added := self._added.get(identity.key())) is not None:
            return added
        return self._load(identity.name, EncoderOptions(self._device, identity.precision.value, identity.pooling))

    def for_indexing(self, options: ModelOptions, note: Note, samples: Samples | None = None) -> IndexEncoder:
        """Choose the named model, or the one that the store is already made with.

        `note` receives what is loaded; `samples` are images to try number formats on, for a precision of `auto`.

        Raises:
            OptionError: the store has several encoders, and none is named.
        """
        from .loaders import loader_of
        from .model_files import DEFAULT_MODEL

        known = self._known()
        if options.model is None and len(known) > 1:
            names = ", ".join(encoder.name for encoder in known.values())
            raise OptionError(f"this store has several encoders: {names}", "choose one: --model NAME")
        only = next(iter(known.values()), None)
        name = options.model or (only.name if only is not None else DEFAULT_MODEL)
        how = EncoderOptions(options.device or self._device, options.precision or "float32", compile=options.compile)
        canonical = loader_of(name).canonical_name(name)
        same = next((encoder for encoder in known.values() if encoder.name == canonical), None)
        # A second encoder of a model comes by naming its precision only, never by measuring.
        keeps = options.precision in (None, "auto")
        if same is not None and keeps:
            how = replace(how, precision=same.precision.value, pooling=same.pooling)
        stored = only if options.model is None and keeps else None
        if stored is None and known and self._added_as(name) is None:
            stored = unchanged(self._store, how, files_of(canonical, loader_of(name).version(name)))
        return IndexEncoder(
            self._store,
            name,
            how,
            known,
            stored,
            load=lambda: self._load(name, how, samples, note),
            is_here=lambda: self._added_as(name) is not None or loader_of(name).is_here(name),
        )

    def recognised(self, name: AnyModel | None) -> str | None:
        """Return the name of an encoder of the store; where a folder is named that one was moved to, its number.

        A number stands for itself. An encoder object is used from then on, and known by its identity; such a folder is
        known by its weights, and the store then remembers the new place.

        Raises:
            ModelUnavailable: the folder has no model that can be loaded.
            EncoderMismatch: the store has no vectors of this object, but it has some of an encoder of its name.
        """
        if name is None or isinstance(name, int):
            return None if name is None else str(name)
        if not isinstance(name, str):
            used = self.use(name)
            for number, one in self._known().items():
                if used == one.name != str(number):  # the store's is another encoder of that name
                    raise EncoderMismatch(
                        f"this store has no vectors of the object {used!r}, but vectors of a model of that name, {one}",
                        "give the object another id, and index with it: store.index(SOURCE, model=encoder)",
                    )
            return used
        from .model_files import DEMO_MODEL, local_folder

        folder = local_folder(name)
        known = self._known() if folder is not None and name != DEMO_MODEL else {}
        if any(encoder.name == str(folder) for encoder in known.values()):
            return name
        for number, encoder in known.items():
            if moved(encoder):
                how = EncoderOptions(self._device, encoder.precision.value, encoder.pooling)
                loaded = self._load(str(folder), how)
                if loaded.id.key() == encoder.key():
                    self.add(loaded)
                    self._remember_place(loaded.id, encoder)
                    return str(number)
        return name

    def _remember_place(self, found: EncoderId, recorded: EncoderId) -> None:
        if moved(recorded) and found.name != recorded.name:
            with suppress(StoreError), self._store.writing() as con:  # a store that cannot be written to still answers
                rename_encoder(con, found)

    def keep_texts(self, identity: EncoderId) -> None:
        """Keep the text tower of an encoder whose model was loaded, and what its files were, to load it less often."""
        with self._lock:
            ready = [(model.encoder, files_of(key[0], key[2])) for key, model in self._models.items()]
            ready += [(encoder, None) for encoder in self._added.values()]
        for encoder, files in ready:
            if encoder is not None and encoder.id.key() == identity.key():
                recorded = next((one for one in self._known().values() if one.key() == identity.key()), identity)
                self._remember_place(encoder.id, recorded)
                self._keep(identity, encoder)
                remember(self._store, identity, files)
                return

    def _for_use(self, identity: EncoderId) -> ImageEncoder:
        checked(model := self.model(identity), identity)
        self._keep(identity, model)
        return model

    def _keep(self, identity: EncoderId, model: ImageEncoder) -> None:
        from .text_tower_export import keep_tower
        from .transformers_encoder import TransformersEncoder

        with self._lock:
            kept = self._texts.setdefault(identity, _Texts())
        with kept.lock:
            if isinstance(model, TransformersEncoder) and not tower_file(self._store, identity).exists():
                kept.tried = not keep_tower(self._store, model)

    def _added_as(self, name: str) -> ImageEncoder | None:
        with self._lock:
            named = [encoder for encoder in self._added.values() if encoder.id.name == name]
        return named[-1] if named else None

    def _known(self) -> dict[int, EncoderId]:
        if not self._store.catalog_bytes():
            return {}
        with self._store.reading() as con:
            return list_encoders(con)

    def _load(
        self, name: str, options: EncoderOptions, samples: Samples | None = None, note: Note | None = None
    ) -> ImageEncoder:
        """Return a model, loading it where no thread has yet; a folder whose files changed is loaded again."""
        if (added := self._added_as(name)) is not None:
            return added
        from .loaders import load_encoder, loader_of
        from .own_encoder import only_in_python

        only_in_python(name, self._known().values())
        loader = loader_of(name)
        canonical, version = loader.canonical_name(name), loader.version(name)
        with self._lock:
            for old in [key for key in self._models if key[0] == canonical and key[2] != version]:
                del self._models[old]
            model = self._models.setdefault((canonical, options, version), _Model())
        with model.lock:
            if model.encoder is not None:
                return model.encoder
            if note is not None:
                note(f"loading {name}")
            loaded = load_encoder(name, options, samples)
            if note is not None and (choice := getattr(loaded, "choice", None)) is not None:
                note(str(choice))
            model.encoder = loaded
        exact = replace(options, precision=loaded.id.precision.value, compile=False)
        with self._lock:  # what was chosen by measuring, or compiled, is also the model of its identity
            self._models.setdefault((canonical, exact, version), model)
        return loaded
