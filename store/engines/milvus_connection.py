"""The connection to a Milvus server or a Milvus Lite folder: its address, the token, TLS, and one kind of error.

One connection for each address is kept open for the process.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from shotdex.store.errors import EngineUnavailable, OptionError

TOKEN = "SHOTDEX_MILVUS_TOKEN"
"""The environment variable with the token, or user:password, of the server; it is never written anywhere."""

CA, CERTIFICATE, CERTIFICATE_KEY = "SHOTDEX_MILVUS_CA", "SHOTDEX_MILVUS_CERT", "SHOTDEX_MILVUS_KEY"
"""Environment variables with PEM files for https: the authority that signed the server's certificate, if that is not a
public one, and the certificate of this client with its key, if the server asks for one."""

ADDRESSES = "pass http://HOST:19530, https://HOST, or the path of a Milvus Lite folder, NAME.db"

CONNECT_SECONDS, CALL_SECONDS = 3.0, 10.0
"""How long a search waits for a connection, and for one reply."""

BUILD_SECONDS = 3600.0
"""How long the index may take from the last row until it is complete."""

PREFIX = "shotdex_"
"""How the names of our collections begin."""

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


def connect(uri: str) -> None:
    """Make sure that something that speaks Milvus is at an address.

    Raises:
        EngineUnavailable: nothing is, or not with this token.
    """
    with asking(uri) as client:
        client.list_collections(timeout=CALL_SECONDS)


def disconnect() -> None:
    """Close all connections; the next search opens those that it needs."""
    with _lock:
        for client in _clients.values():
            client.close()
        _clients.clear()


@contextmanager
def asking(uri: str) -> Iterator[Any]:
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
