"""One collection of a Milvus server, or of a Milvus Lite folder: what is asked of it, and nothing of the catalog.

A row stands for a content: `image_id` is the lowest id that has it, `joint` its vector, and three fields have the
labels of its copies as numbers (`pushed`). Milvus keeps float32 as it is. A property of the collection names the state
that it was last brought up to, so that a collection that somebody else changed is never taken for it.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from shotdex.store.errors import EngineUnavailable, OptionError
from shotdex.store.types import Ids, Vectors

from .pushed import CAPACITY, LABELS

TOKEN = "SHOTDEX_MILVUS_TOKEN"
"""The environment variable with the token, or user:password, of the server; it is never written anywhere."""

CA, CERTIFICATE, CERTIFICATE_KEY = "SHOTDEX_MILVUS_CA", "SHOTDEX_MILVUS_CERT", "SHOTDEX_MILVUS_KEY"
"""Environment variables with PEM files for https: the authority that signed the server's certificate, if that is not a
public one, and the certificate of this client with its key, if the server asks for one."""

ADDRESSES = "pass http://HOST:19530, https://HOST, or the path of a Milvus Lite folder, NAME.db"

EXACT = "FLAT"
"""The kind of index that compares every vector."""

KINDS: dict[str, dict[str, int]] = {
    EXACT: {},
    "HNSW": {"M": 16, "efConstruction": 200},
    "IVF_FLAT": {"nlist": 1024},
    "IVF_SQ8": {"nlist": 1024},
    "DISKANN": {},
}
"""The kinds of index that can be chosen, and what each is built with."""

RAW = {"FLAT", "HNSW", "IVF_FLAT"}
"""Kinds whose cosines are those of the vectors themselves, and not of shorter forms of them."""

MOST = 16_384
"""Rows that Milvus returns for one query."""

CONNECT_SECONDS, CALL_SECONDS = 3.0, 10.0
"""How long a search waits for a connection, and for one reply."""

BUILD_SECONDS = 3600.0
"""How long the index may take from the last row until it is complete."""

SETTLE_SECONDS = 20.0
"""How long its count of rows may stay wrong once its index is complete: it lags behind by a second or so."""

BATCH_BYTES = 8 << 20
"""Bytes of vectors sent at a time: a message may have 64 MB."""

PREFIX = "shotdex_"
"""How the names of our collections begin."""

STATE = "shotdex.state"
"""The property of a collection that names its state."""

Row = dict[str, Any]

_clients: dict[str, Any] = {}
_lock = Lock()


def checked_uri(uri: str) -> str:
    """Return the address of a server, or the absolute path of a Milvus Lite folder, as it may be kept.

    Raises:
        OptionError: it holds a password or token, or is not an address that Milvus has.
    """
    parts = urlsplit(uri) if "://" in uri else None
    if "@" in uri.split("://", 1)[-1].split("/", 1)[0] or (parts is not None and (parts.query or parts.fragment)):
        raise OptionError(
            "the URI of a Milvus server must not contain a user, password or token, because runs record their command "
            "line",
            f"put it in the environment: export {TOKEN}=user:password, and leave it out of --uri",
        )
    if parts is None:
        path = Path(uri).expanduser().absolute()
        if not re.fullmatch(r".+\.db", path.name):
            raise OptionError(
                f"{uri!r} is not the address of a Milvus server", "http://HOST:19530, or NAME.db for Lite"
            )
        return str(path)
    try:
        usable = parts.scheme in ("http", "https", "tcp") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number
        usable = False
    if not usable:
        raise OptionError(f"{uri!r} is not the address of a Milvus server", ADDRESSES)
    return uri.rstrip("/")


def sends_in_clear(uri: str) -> bool:
    """Tell whether a token would go over a network unencrypted."""
    from ipaddress import ip_address

    parts = urlsplit(uri)
    if parts.scheme not in ("http", "tcp") or not os.environ.get(TOKEN):
        return False
    try:
        return not ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname != "localhost"


@dataclass(frozen=True, slots=True)
class CollectionState:
    """How many rows a collection has, how many of them its index does not cover yet, and which state it names."""

    rows: int
    pending: int
    state: str
    dim: int


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection by name. Every method raises `EngineUnavailable` where the server does not do what is asked."""

    uri: str
    name: str
    kind: str

    def look(self) -> CollectionState | None:
        """Return the state of the collection; None where the server has none of this name."""
        with _asking(self.uri) as client:
            if not client.has_collection(self.name, timeout=CALL_SECONDS):
                return None
            said = client.describe_collection(self.name, timeout=CALL_SECONDS)
            dims = [field["params"].get("dim", 0) for field in said["fields"] if field["name"] == "joint"]
            state = str((said.get("properties") or {}).get(STATE, ""))
            try:
                counted = client.query(self.name, filter="", output_fields=["count(*)"], timeout=CALL_SECONDS)
                index = client.describe_index(self.name, "joint", timeout=CALL_SECONDS) or {}
                rows = int(counted[0]["count(*)"])
            except Exception:  # not loaded, or without an index yet, each client says it otherwise
                return CollectionState(0, 1, state, int(dims[0]) if dims else 0)
        total, covered = int(index.get("total_rows", -1)), int(index.get("indexed_rows", -2))
        pending = max(int(index.get("pending_index_rows", 1)), total - covered if total >= 0 else 1)
        return CollectionState(rows, pending, state, int(dims[0]) if dims else 0)

    def create(self, dim: int) -> None:
        """Make the collection, where the server has none of this name."""
        from pymilvus import DataType

        with _asking(self.uri) as client:
            if client.has_collection(self.name, timeout=CALL_SECONDS):
                return
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("image_id", DataType.INT64, is_primary=True)
            schema.add_field("joint", DataType.FLOAT_VECTOR, dim=dim)
            for field in LABELS.values():
                schema.add_field(field, DataType.ARRAY, element_type=DataType.INT64, max_capacity=CAPACITY)
            client.create_collection(self.name, schema=schema, consistency_level="Bounded", timeout=CALL_SECONDS)

    def set_state(self, state: str) -> None:
        """Name the state of the collection."""
        with _asking(self.uri) as client:
            client.alter_collection_properties(self.name, {STATE: state}, timeout=CALL_SECONDS)

    def put(self, ids: Ids, vectors: Vectors, labels: Sequence[Sequence[list[int]]]) -> None:
        """Write rows, in place of those of the same ids; `labels` are a list for each field of `LABELS`."""
        step = max(1, min(2_000, BATCH_BYTES // (4 * vectors.shape[1])))
        rows: list[Row] = [
            {"image_id": image_id, "joint": vector, **dict(zip(LABELS.values(), of_row, strict=True))}
            for image_id, vector, *of_row in zip(ids.tolist(), vectors, *labels, strict=True)
        ]
        with _asking(self.uri) as client:
            for start in range(0, len(rows), step):
                client.upsert(self.name, rows[start : start + step], timeout=BUILD_SECONDS)

    def forget(self, ids: Ids) -> None:
        """Delete rows."""
        with _asking(self.uri) as client:
            for start in range(0, len(ids), 2_000):
                client.delete(self.name, ids=ids[start : start + 2_000].tolist(), timeout=BUILD_SECONDS)

    def finish(self, rows: int) -> None:
        """Wait until the collection has this many rows, on disk, loaded, and all of them in its index.

        Until then Milvus replies from an interim index, and has rows in sight that were deleted a moment ago.
        """
        with _asking(self.uri) as client:
            client.flush(self.name, timeout=BUILD_SECONDS)
            if not client.list_indexes(self.name, field_name="joint"):
                index = client.prepare_index_params()
                index.add_index("joint", index_type=self.kind, metric_type="IP", params=KINDS[self.kind])
                client.create_index(self.name, index, timeout=BUILD_SECONDS)
            client.load_collection(self.name, timeout=BUILD_SECONDS)
        started = since = time.monotonic()
        before = None
        while (now := time.monotonic()) < started + BUILD_SECONDS:
            found = self.look()
            if found is not None and (found.rows, found.pending) == (rows, 0):
                return
            if found != before or found is None or found.pending:
                before, since = found, now
            elif now > since + SETTLE_SECONDS:  # complete, and with other rows than were sent
                break
            time.sleep(0.1)
        raise EngineUnavailable(
            f"Milvus at {self.uri} received {rows:,} rows but does not have them in its index: {before}",
            "look at the server's log and memory, then: shotdex verify --repair",
        )

    def search(self, vector: Vectors, count: int, expression: str) -> tuple[Ids, Vectors]:
        """Return ids and cosines, as Milvus computes them, of its best rows for a vector (D,), best first."""
        params = {
            "HNSW": {"ef": max(400, count)},
            "IVF_FLAT": {"nprobe": 64},
            "IVF_SQ8": {"nprobe": 64},
            "DISKANN": {"search_list": max(100, count)},
        }.get(self.kind, {})
        with _asking(self.uri) as client:
            [hits] = client.search(
                self.name,
                data=[vector],
                limit=count,
                filter=expression,
                anns_field="joint",
                search_params={"metric_type": "IP", "params": params},
                consistency_level="Bounded",
                timeout=CALL_SECONDS,
            )
            found = [(hit.id, hit.distance) for hit in hits]
        return np.array([one[0] for one in found], np.int64), np.array([one[1] for one in found], np.float32)

    def ids(self) -> Ids:
        """Return the ids of all rows, rising."""
        found: list[int] = []
        with _asking(self.uri) as client:
            for rows in _batches(client.query_iterator(self.name, batch_size=MOST, output_fields=["image_id"])):
                found += [row["image_id"] for row in rows]
        return np.unique(np.array(found, np.int64))

    def read(self, ids: Ids) -> Iterator[Row]:
        """Yield the rows of some ids, in no order."""
        with _asking(self.uri) as client:
            for start in range(0, len(ids), 500):
                yield from client.query(
                    self.name, ids=ids[start : start + 500].tolist(), output_fields=["*"], timeout=CALL_SECONDS
                )

    def drop(self) -> bool:
        """Delete the collection; return whether there was one."""
        with _asking(self.uri) as client:
            found = bool(client.has_collection(self.name, timeout=CALL_SECONDS))
            if found:
                client.drop_collection(self.name, timeout=CALL_SECONDS)
            return found


def _batches(iterator: Any) -> Iterator[list[Row]]:
    try:
        while rows := iterator.next():
            yield rows
    finally:
        iterator.close()


def connect(uri: str) -> None:
    """Make sure that something that speaks Milvus is at an address.

    Raises:
        EngineUnavailable: nothing is, or not with this token.
    """
    with _asking(uri) as client:
        client.list_collections(timeout=CALL_SECONDS)


def disconnect() -> None:
    """Close all connections; the next search opens those that it needs."""
    with _lock:
        for client in _clients.values():
            client.close()
        _clients.clear()


@contextmanager
def _asking(uri: str) -> Iterator[Any]:
    """Give the connection to a server; whatever goes wrong with it is said as one kind of error."""
    try:
        yield _client(uri)
    except EngineUnavailable:
        raise
    except ImportError as error:
        raise EngineUnavailable(f"Milvus cannot be used: {error}", 'pip install "shotdex[milvus]"') from error
    except Exception as error:  # gRPC, pymilvus and Lite have a family of errors each, and some are plain Python's
        with _lock:
            _clients.pop(uri, None)
        raise EngineUnavailable(
            f"Milvus at {uri} does not respond as expected: {_said(error)}",
            "start it, or search with --engine faiss; shotdex engine remove milvus removes it",
        ) from None  # whose text may hold the token


def _client(uri: str) -> Any:
    with _lock:
        if uri not in _clients:
            from pymilvus import MilvusClient

            logging.getLogger("pymilvus").setLevel(logging.CRITICAL + 1)  # every error is raised, too
            if "://" not in uri and not Path(uri).parent.is_dir():
                raise OSError(f"there is no folder {Path(uri).parent}")
            token = os.environ.get(TOKEN, "")
            client = MilvusClient(uri=uri, token=token, timeout=CONNECT_SECONDS, **_tls(uri))
            if "://" not in uri:
                _load_all(client)
            _clients[uri] = client
        return _clients[uri]


def _load_all(client: Any) -> None:
    """Load our collections: Milvus Lite, which ends with its process, starts with every collection released."""
    # Lite prints a traceback for each call that it does not have, also where pymilvus goes on without.
    logging.getLogger("grpc._server").setLevel(logging.CRITICAL + 1)
    for name in client.list_collections(timeout=CALL_SECONDS):
        if name.startswith(PREFIX) and client.list_indexes(name, field_name="joint"):
            client.load_collection(name, timeout=BUILD_SECONDS)


def _tls(uri: str) -> dict[str, str]:
    """Return what pymilvus takes to check an https server, and to show who asks."""
    files = {name: os.environ.get(name, "") for name in (CA, CERTIFICATE, CERTIFICATE_KEY)}
    if not uri.startswith("https://") or not any(files.values()):
        return {}
    for name, file in files.items():
        if file and not Path(file).is_file():
            raise EngineUnavailable(f"{name} names {file}, which is not a file", "set it to the path of a PEM file")
    if not (files[CERTIFICATE] or files[CERTIFICATE_KEY]):
        return {"server_pem_path": files[CA]}
    if not all(files.values()):
        missing = ", ".join(name for name, file in files.items() if not file)
        raise EngineUnavailable(
            f"a client certificate also needs its key and the server's authority: {missing} is not set",
            "set all three to PEM files",
        )
    return {
        "client_pem_path": files[CERTIFICATE],
        "client_key_path": files[CERTIFICATE_KEY],
        "ca_pem_path": files[CA],
    }


def _said(error: Exception) -> str:
    """Return the first line of an error, without the token."""
    text = str(getattr(error, "message", "") or error).strip() or type(error).__name__
    token = os.environ.get(TOKEN, "")
    for secret in [token, *token.split(":")[1:]]:
        text = text.replace(secret, "***") if secret else text
    return text.splitlines()[0][:300]
