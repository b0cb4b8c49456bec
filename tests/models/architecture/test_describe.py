"""Where a model's configuration is found, and what is said where there is none."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from shotdex import demo
from shotdex.models.architecture.describe import Configuration, describe, find_configuration
from shotdex.store.errors import ModelUnavailable

COMMIT = "c" * 40


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Whatever is asked of the network; nothing gets through."""
    tried: list[object] = []

    def refuse(self: socket.socket, address: object) -> None:
        tried.append(address)
        raise ConnectionRefusedError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(text)
    return folder


class TestHere:
    """Configurations on this disk: the network is never asked."""

    def test_a_folder_with_nothing_else(self, clip_folder: Path, tmp_path: Path, calls: list[object]) -> None:
        alone = write(tmp_path / "alone", (clip_folder / "config.json").read_text())
        whole, found = describe(str(clip_folder)), describe(str(alone))
        assert (found.vision, found.text, found.comparison) == (whole.vision, whole.text, whole.comparison)
        assert found.name == str(alone)
        assert list(alone.iterdir()) == [alone / "config.json"]
        assert calls == []

    def test_a_file(self, clip_folder: Path, tmp_path: Path, calls: list[object]) -> None:
        path = tmp_path / "other.json"
        path.write_text((clip_folder / "config.json").read_text())
        assert describe(str(path)).parameters == describe(str(clip_folder)).parameters
        assert calls == []

    def test_the_shipped_one_even_where_a_folder_has_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[object]
    ) -> None:
        (tmp_path / "demo").mkdir()
        monkeypatch.chdir(tmp_path)
        path = demo.MODEL / "config.json"
        assert find_configuration("demo") == Configuration("demo", "local", path, "clip")
        assert calls == []

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('{"model_type": "bert", "hidden_size": 768}', "is a 'bert' model; shotdex reads clip, siglip, siglip2"),
            ('{"hidden_size": 768}', "has no model_type"),
            ('{"model_type": ["clip"]}', "shotdex reads clip"),
            ("[]", "has no model_type"),
            ("[1", "cannot be read"),
            ("\udcff", "cannot be read"),
        ],
    )
    def test_what_is_no_model_of_ours(self, text: str, words: str, tmp_path: Path, calls: list[object]) -> None:
        (tmp_path / "config.json").write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(ModelUnavailable) as caught:
            describe(str(tmp_path))
        assert words in str(caught.value)
        assert caught.value.hint
        assert calls == []

    def test_no_configuration(self, tmp_path: Path, calls: list[object]) -> None:
        with pytest.raises(ModelUnavailable, match=r"no config\.json in it"):
            describe(str(tmp_path))
        assert calls == []

    @pytest.mark.parametrize("name", ["./nothing", "/no/such/folder", "~/nothing-of-that-name", "a/b/c", "a b"])
    def test_no_folder_and_no_name_of_the_hub(self, name: str, calls: list[object]) -> None:
        with pytest.raises(ModelUnavailable, match="no folder") as caught:
            describe(name)
        assert "demo" in caught.value.hint
        assert calls == []

    @pytest.mark.parametrize(
        "vision", [{"hidden_size": 100}, {"patch_size": [16, 16], "image_size": [224, 224]}, {"hidden_act": "nonsense"}]
    )
    def test_values_of_which_no_model_can_be_built(self, vision: dict[str, object], tmp_path: Path) -> None:
        write(tmp_path, json.dumps({"model_type": "clip", "vision_config": vision}))
        with pytest.raises(ModelUnavailable, match="no model can be built") as caught:
            describe(str(tmp_path))
        assert str(tmp_path / "config.json") in caught.value.hint


class TestHub:
    """Names on the hub."""

    def test_what_the_cache_has_is_taken_without_asking(self, clip_folder: Path, calls: list[object]) -> None:
        from huggingface_hub import constants

        cached = Path(constants.HF_HUB_CACHE) / "models--someone--cached"
        (cached / "refs").mkdir(parents=True)
        (cached / "refs" / "main").write_text(COMMIT)
        (cached / "snapshots" / COMMIT).mkdir(parents=True)
        write(cached / "snapshots" / COMMIT, (clip_folder / "config.json").read_text())
        found = describe("someone/cached")
        assert (found.name, found.revision) == ("someone/cached", COMMIT)
        assert found.parameters == describe(str(clip_folder)).parameters
        assert calls == []

    def test_without_a_network_it_is_said_at_once(self) -> None:
        started = time.monotonic()
        with pytest.raises(ModelUnavailable, match="someone/absent") as caught:
            describe("someone/absent")
        assert time.monotonic() - started < 10  # five tries of a download take 24 s
        assert "hf download someone/absent config.json" in caught.value.hint

    def test_only_the_configuration_is_fetched(self, hub: _Hub, tmp_path: Path) -> None:
        program = (
            "from shotdex.models.architecture.describe import find_configuration as find\n"
            "found = find('someone/served')\nprint(found.revision, found.family, found.path.read_text())"
        )
        here = {"HF_ENDPOINT": hub.address, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
        ran = subprocess.run(
            [sys.executable, "-c", program], env=os.environ | here, capture_output=True, text=True, timeout=100
        )
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.split() == [COMMIT, "siglip", *hub.config.decode().split()]
        assert ran.stderr == ""
        assert {path for path in hub.asked if "/api/" not in path} == {"/someone/served/resolve/main/config.json"}


class _Hub(ThreadingHTTPServer):
    """A hub with one model, of which it has nothing but the configuration."""

    config = b'{"model_type": "siglip"}'

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    server: _Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append(path)
        model = json.dumps({"id": "someone/served", "sha": COMMIT, "siblings": []}).encode()
        known = {
            "/api/models/someone/served": model,
            "/someone/served/resolve/main/config.json": self.server.config,
        }
        answer = known.get(path)
        self.send_response(200 if answer is not None else 404)
        self.send_header("Content-Length", str(len(answer or b"")))
        self.send_header("ETag", '"abc"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body and answer:
            self.wfile.write(answer)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[_Hub]:
    with _Hub() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
