"""The libraries that models come from, each a `Loader`: the first that knows a name finds, identifies and loads it.

To add a library: write a `Loader` in a file of its own and put it in `LOADERS`.
"""

from __future__ import annotations

from .model_files import TransformersLoader
from .open_clip_files import OpenClipLoader
from .protocols import EncoderOptions, ImageEncoder, Loader, Samples

LOADERS: tuple[Loader, ...] = (OpenClipLoader(), TransformersLoader())
"""In the order in which they are tried; the last one takes every name."""


def loader_of(name: str) -> Loader:
    """Return the loader for a model of that name."""
    return next(loader for loader in LOADERS if loader.matches(name))


def load_encoder(name: str, options: EncoderOptions | None = None, samples: Samples | None = None) -> ImageEncoder:
    """Load a model by name and put it on its device: `demo`, a local folder, a hub name, or what a loader knows.

    `samples` are images to try number formats on, for a precision of `auto`; without them images are drawn.

    Raises:
        ModelUnavailable: it cannot be found or loaded.
        OptionError: there is no such device or precision here, or it cannot be compiled.
    """
    return loader_of(name).load(name, options or EncoderOptions(), samples)
