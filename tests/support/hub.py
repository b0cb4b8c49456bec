"""A model hub on this machine: what huggingface_hub asks of the real one, with its troubles.

Model info, commits, discussions, and `resolve` with ETag, commit header, redirect of large files and ranges.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote

LARGE = 20_000
"""Bytes from which on a file is in LFS: its ETag is the SHA-256, and it is served from another address."""


@dataclass
class Repo:
    """A model: files by commit, and the commit of each branch, tag and pull request."""

    commits: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    pulls: list[tuple[int, str, str]] = field(default_factory=list)
    """Number, title and author of each open pull request."""

    def commit(self, files: Mapping[str, bytes], ref: str = "main") -> str:
        """Add a commit and let a ref point at it."""
        digest = hashlib.sha1(ref.encode())
        for name, content in sorted(files.items()):
            digest.update(name.encode() + content)
        self.commits[digest.hexdigest()] = dict(files)
        self.refs[ref] = digest.hexdigest()
        return digest.hexdigest()


@dataclass
class Trouble:
    """What happens to the next requests whose path has `where` in it: a status, or the body cut after some bytes."""

    where: str
    status: int = 0
    cut: int = -1
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)


class Hub(ThreadingHTTPServer):
    """A running hub. `asked` has method, path and range of every request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.repos: dict[str, Repo] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.troubles: list[Trouble] = []
        self.ranges = True
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.elsewhere = f"http://localhost:{self.server_address[1]}"  # the client treats it as another machine

    def paths(self, method: str = "GET") -> list[str]:
        return [path for verb, path, _ in self.asked if verb == method]

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that went away


def folder_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a saved model."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def conversion(repo: Repo, files: Mapping[str, bytes], number: int = 5) -> str:
    """Open the pull request of the hub's bot, with safetensors next to everything else."""
    repo.pulls.append((number, "Adding `safetensors` variant of this model", "SFconvertbot"))
    return repo.commit(files, f"refs/pr/{number}")


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve until the end of the context."""
    with Hub() as hub:
        Thread(target=hub.serve_forever, daemon=True).start()
        try:
            yield hub
        finally:
            hub.shutdown()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(self.path.split("?")[0])
        self.server.asked.append((self.command, path, self.headers.get("Range")))
        self._cut = -1
        for trouble in self.server.troubles:
            if trouble.where in path and trouble.times and (trouble.status or self.command == "GET"):
                trouble.times -= 1
                if trouble.status:
                    return self._send(trouble.status, b'{"error": "trouble"}', trouble.headers)
                self._cut = trouble.cut
                break
        for pattern, method in (
            (r"/api/models/([^/]+/[^/]+)/discussions", self._discussions),
            (r"/api/models/([^/]+/[^/]+)/commits/(.+)", self._commits),
            (r"/api/models/([^/]+/[^/]+)/tree/(.+)", self._tree),
            (r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", self._info),
            (r"/([^/]+/[^/]+)/resolve/(refs/pr/\d+|[^/]+)/(.+)", self._resolve),
            (r"/cdn/([0-9a-f]{64})", self._cdn),
        ):
            found = re.fullmatch(pattern, path)
            if found is not None:
                return method(*found.groups())
        return self._send(404, b"")

    def _found(self, name: str, revision: str | None) -> tuple[Repo, str] | None:
        repo = self.server.repos.get(name)
        if repo is None:
            self._send(401 if "nobody" in name else 404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return None
        revision = revision or "main"
        sha = repo.refs.get(revision) or next((one for one in repo.commits if one == revision), None)
        if sha is None:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return None
        return repo, sha

    def _info(self, name: str, revision: str | None = None) -> None:
        found = self._found(name, revision)
        if found is not None:
            files = [{"rfilename": file} for file in found[0].commits[found[1]]]
            self._json({"id": name, "sha": found[1], "private": False, "siblings": files, "tags": []})

    def _commits(self, name: str, revision: str) -> None:
        found = self._found(name, revision)
        if found is not None:
            shas = list(dict.fromkeys([found[1], found[0].refs["main"]]))
            day = "2022-10-04T00:00:00.000Z"
            self._json([{"id": sha, "authors": [], "date": day, "title": "", "message": ""} for sha in shas])

    def _tree(self, name: str, revision: str) -> None:
        found = self._found(name, revision)
        if found is not None:
            files = found[0].commits[found[1]].items()
            self._json(
                [{"type": "file", "path": file, "size": len(content), "oid": "0" * 40} for file, content in files]
            )

    def _discussions(self, name: str) -> None:
        found = self._found(name, None)
        if found is not None:
            rows = [
                {
                    "num": number,
                    "title": title,
                    "author": {"name": author},
                    "status": "open",
                    "isPullRequest": True,
                    "createdAt": "2022-10-04T00:00:00.000Z",
                    "repo": {"name": name, "type": "model"},
                }
                for number, title, author in found[0].pulls
            ]
            self._json({"discussions": rows, "count": len(rows), "start": 0})

    def _resolve(self, name: str, revision: str, file: str) -> None:
        found = self._found(name, revision)
        if found is None:
            return
        content = found[0].commits[found[1]].get(file)
        headers = {"X-Repo-Commit": found[1]}
        if content is None:
            self._send(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
        elif len(content) >= LARGE:
            digest = hashlib.sha256(content).hexdigest()
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
            self._send(302, b"", {**headers, **linked, "Location": f"{self.server.elsewhere}/cdn/{digest}"})
        else:
            digest = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            self._body(content, {**headers, "ETag": f'"{digest}"'})

    def _cdn(self, digest: str) -> None:
        for repo in self.server.repos.values():
            for files in repo.commits.values():
                for content in files.values():
                    if hashlib.sha256(content).hexdigest() == digest:
                        return self._body(content, {"ETag": f'"{digest}"'})
        return self._send(404, b"")

    def _body(self, content: bytes, headers: Mapping[str, str]) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if asked is None or not self.server.ranges:
            return self._send(200, content, headers)
        start = int(asked[1])
        if start >= len(content):
            return self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        where = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        return self._send(206, content[start:], {**headers, **where})

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if 0 <= self._cut < len(content):
            self.wfile.write(content[: self._cut])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass
