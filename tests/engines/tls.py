"""Encryption in front of a server that has none, as a load balancer puts it there."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def certificate(folder: Path, name: str) -> Path:
    """Make a self-signed certificate NAME.pem for this machine, with its key NAME.key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make certificates with")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / f"{name}.pem"


@contextmanager
def encrypted(server: str, own: Path, client: Path | None = None) -> Iterator[str]:
    """Give an https address in front of an http one; `client` is the only certificate that is let in."""
    host, _, port = server.removeprefix("http://").rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, own.with_suffix(".key"))
    context.set_alpn_protocols(["h2"])
    if client is not None:
        context.load_verify_locations(client)
        context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=[listening.accept()[0]], daemon=True).start()

        def serve(raw: socket.socket) -> None:
            with suppress(OSError), context.wrap_socket(raw, server_side=True) as near:
                near.settimeout(0.05)
                with socket.create_connection((host, int(port))) as far:
                    back = threading.Thread(target=pass_on, args=[far, near], daemon=True)
                    back.start()
                    pass_on(near, far)

        def pass_on(one: socket.socket, other: socket.socket) -> None:
            with suppress(OSError):
                while True:
                    try:
                        data = one.recv(65_536)
                    except TimeoutError:
                        continue
                    if not data:
                        break
                    other.sendall(data)
                other.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=accept, daemon=True).start()
        yield f"https://localhost:{listening.getsockname()[1]}"
