"""An engine as somebody would add one: this file, and a line in the registry. Its vectors are in a numpy archive."""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Iterable

import numpy as np

from shotdex.store.engines.base import EngineSite, Filter
from shotdex.store.engines.flat import Rows, no_rows, stacked_hits
from shotdex.store.types import Ids, Vectors


class ToyEngine:
    """Holds everything in memory."""

    exact = True
    stamped_as = "toy"

    def __init__(self, site: EngineSite) -> None:
        self.folder, self.dim, self.stamp = site.folder, site.dim, site.stamps.get("toy")
        self.rows = no_rows(site.dim)
        if self.stamp is None:
            return
        name, sha256 = self.stamp.split()
        data = (self.folder / name).read_bytes() if (self.folder / name).is_file() else b""
        if hashlib.sha256(data).hexdigest() != sha256:
            self.stamp = None
            return
        with np.load(io.BytesIO(data)) as kept:
            self.rows = Rows(kept["ids"], kept["vectors"])

    @property
    def covers(self) -> Ids:
        return self.rows.ids

    def search(self, vectors: Vectors, k: int, among: Filter) -> tuple[Ids, Vectors]:
        positions = self.rows.positions(among)
        k = min(k, len(positions))
        return stacked_hits([self.rows.best(vector, k, positions) for vector in vectors], k)

    def add(self, ids: Ids, vectors: Iterable[Vectors]) -> None:
        self._keep(np.concatenate([self.covers, ids]), np.concatenate([self.rows.vectors, *vectors]))

    def remove(self, ids: Ids) -> None:
        kept = ~np.isin(self.covers, ids)
        self._keep(self.covers[kept], self.rows.vectors[kept])

    def drop(self) -> None:
        for file in self.folder.glob("toy-*.npz"):
            file.unlink()
        self.rows, self.stamp = no_rows(self.dim), None

    def _keep(self, ids: Ids, vectors: Vectors) -> None:
        data = io.BytesIO()
        np.savez(data, ids=ids, vectors=vectors)
        name = f"toy-{secrets.token_hex(8)}.npz"
        (self.folder / name).write_bytes(data.getvalue())
        self.rows, self.stamp = Rows(ids, vectors), f"{name} {hashlib.sha256(data.getvalue()).hexdigest()}"
