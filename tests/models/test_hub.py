"""Models from a hub on this machine that serves what the real one does, with the network cut in between."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from shotdex.models import hub_download
from shotdex.models.hub_cache import HubName, find_cached
from shotdex.models.loaders import load_encoder, loader_of
from shotdex.models.protocols import EncoderOptions
from shotdex.store.errors import ModelUnavailable
from tests.support.hub import Hub, Repo, Trouble, conversion, folder_files, running_hub
from tests.support.images import noise, save_colour
from tests.support.models import save_random_clip

CPU = EncoderOptions("cpu")
NAME = "someone/tiny"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, and an empty cache."""
    with running_hub() as hub:
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(hub_download, "PAUSE", 0.01)
        yield hub


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Cut the network: no connection can be made from here on."""

    def cut() -> None:
        import socket

        def connect(_: socket.socket, address: object) -> None:
            raise ConnectionRefusedError(f"a request to {address}")

        huggingface_hub.utils.close_session()  # it keeps connections open
        monkeypatch.setattr(socket.socket, "connect", connect)

    return cut


@pytest.fixture(scope="module")
def forms(clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The files of one model, with its weights in each form that the hub has."""
    folder = tmp_path_factory.mktemp("forms")
    tensors = load_file(clip_folder / "model.safetensors")
    torch.save(tensors, folder / "pytorch_model.bin")
    rest = {name: content for name, content in folder_files(clip_folder).items() if name != "model.safetensors"}
    one = {"model.safetensors": (clip_folder / "model.safetensors").read_bytes()}
    pickled = {"pytorch_model.bin": (folder / "pytorch_model.bin").read_bytes()}
    return {
        "safetensors": rest | one,
        "bin": rest | pickled | {"README.md": b"not needed", "tf_model.h5": bytes(50_000)},
        "both": rest | one | pickled,
        "neither": rest | {"tf_model.h5": b"x"},
        "sharded": rest | _shards(tensors, folder, ".safetensors"),
        "sharded bin": rest | _shards(tensors, folder, ".bin"),
    }


def _shards(tensors: dict[str, torch.Tensor], folder: Path, suffix: str) -> dict[str, bytes]:
    stem = "model" if suffix == ".safetensors" else "pytorch_model"
    names, files, where = sorted(tensors), {}, {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"{stem}-{number:05}-of-00002{suffix}"
        chosen = {name: tensors[name] for name in part}
        save_file(chosen, folder / file) if suffix == ".safetensors" else torch.save(chosen, folder / file)
        files[file] = (folder / file).read_bytes()
        where |= dict.fromkeys(part, file)
    return files | {f"{stem}{suffix}.index.json": json.dumps({"metadata": {}, "weight_map": where}).encode()}


def _serve(hub: Hub, files: dict[str, bytes], name: str = NAME) -> Repo:
    hub.repos[name] = Repo()
    hub.repos[name].commit(files)
    return hub.repos[name]


@pytest.fixture(scope="module")
def reference(clip_folder: Path) -> np.ndarray:
    return load_encoder(str(clip_folder), CPU).encode_texts(["a dog"])


@pytest.mark.parametrize("form", ["safetensors", "bin", "both", "sharded", "sharded bin"])
def test_first_time_from_the_hub_second_time_without_it(
    form: str, hub: Hub, forms: dict[str, dict[str, bytes]], reference: np.ndarray, offline: Callable[[], None]
) -> None:
    repo = _serve(hub, forms[form])
    assert not loader_of(NAME).is_here(NAME)
    first = load_encoder(NAME, CPU)
    assert first.id.revision == repo.refs["main"]
    assert first.encode_texts(["a dog"]).tobytes() == reference.tobytes()
    fetched = {path.rpartition("/")[2] for path in hub.paths() if "/resolve/" in path}
    assert not {"README.md", "tf_model.h5"} & fetched
    assert ("pytorch_model.bin" in fetched) == (form == "bin")
    assert not [path for path in hub.paths() if "discussions" in path or "commits" in path]
    asked = len(hub.asked)
    offline()
    assert loader_of(NAME).is_here(NAME)
    second = load_encoder(NAME, CPU)
    assert second.encode_texts(["a dog"]).tobytes() == reference.tobytes()
    assert second.encode_images([noise(1, 40, 30)]).shape == (1, 24)
    assert second.id == first.id
    assert len(hub.asked) == asked


def test_what_was_downloaded_is_what_the_hubs_own_client_finds(hub: Hub, forms: dict[str, dict[str, bytes]]) -> None:
    repo = _serve(hub, forms["bin"])
    load_encoder(NAME, CPU)
    path = Path(huggingface_hub.hf_hub_download(NAME, "pytorch_model.bin", local_files_only=True))
    assert path.read_bytes() == repo.commits[repo.refs["main"]]["pytorch_model.bin"]
    assert path.is_symlink()
    transformers.CLIPModel.from_pretrained(NAME, local_files_only=True, use_safetensors=False)
    (found,) = huggingface_hub.scan_cache_dir(constants.HF_HUB_CACHE).repos
    assert (found.repo_id, {*found.refs}) == (NAME, {"main"})


def test_weights_that_a_notebook_left_are_taken(
    hub: Hub, forms: dict[str, dict[str, bytes]], reference: np.ndarray, offline: Callable[[], None]
) -> None:
    """As `.bin` on main: nothing is downloaded a second time."""
    _serve(hub, forms["bin"])
    huggingface_hub.snapshot_download(NAME)
    offline()
    assert load_encoder(NAME, CPU).encode_texts(["a dog"]).tobytes() == reference.tobytes()


@pytest.mark.parametrize(
    ("on_main", "left"),
    [
        ("both", (("config.json", "main"), ("pytorch_model.bin", "main"))),
        ("bin", (("config.json", "main"), ("model.safetensors", "refs/pr/5"))),
    ],
)
def test_weights_alone_that_a_notebook_left_are_not_downloaded_again(
    on_main: str,
    left: tuple[tuple[str, str], ...],
    hub: Hub,
    forms: dict[str, dict[str, bytes]],
    reference: np.ndarray,
    offline: Callable[[], None],
) -> None:
    """What `CLIPModel.from_pretrained` leaves: no processor and no tokenizer."""
    conversion(_serve(hub, forms[on_main]), forms["both"])
    for file, revision in left:
        huggingface_hub.hf_hub_download(NAME, file, revision=revision)
    hub.asked = []
    assert load_encoder(NAME, CPU).encode_texts(["a dog"]).tobytes() == reference.tobytes()
    assert "tokenizer.json" in {path.rpartition("/")[2] for path in hub.paths()}
    assert not [path for path in hub.paths() if "/cdn/" in path]
    offline()
    assert load_encoder(NAME, CPU).encode_texts(["a dog"]).tobytes() == reference.tobytes()


class TestPullRequest:
    """Safetensors that only the pull request of the hub's bot has."""

    @pytest.fixture
    def repo(self, hub: Hub, forms: dict[str, dict[str, bytes]]) -> Repo:
        repo = _serve(hub, forms["bin"])
        conversion(repo, forms["both"])
        return repo

    def test_what_transformers_left_in_the_cache(
        self,
        hub: Hub,
        repo: Repo,
        reference: np.ndarray,
        offline: Callable[[], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for file in ("config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"):
            huggingface_hub.hf_hub_download(NAME, file)
        huggingface_hub.hf_hub_download(NAME, "model.safetensors", revision="refs/pr/5")
        offline()
        found = find_cached(HubName(NAME))
        assert found is not None
        assert [path.name for path in found.weights] == ["model.safetensors"]
        encoder = load_encoder(NAME, CPU)
        assert encoder.encode_texts(["a dog"]).tobytes() == reference.tobytes()
        assert encoder.id.revision == repo.refs["main"]
        with pytest.raises(ModelUnavailable):  # the pinned commit has no such weights
            load_encoder(f"{NAME}@{repo.refs['main']}", CPU)

    def test_the_first_time_main_is_taken(self, hub: Hub, repo: Repo, reference: np.ndarray) -> None:
        assert load_encoder(NAME, CPU).encode_texts(["a dog"]).tobytes() == reference.tobytes()
        assert not [path for path in hub.paths() if "discussions" in path or "refs" in path]

    def test_its_revision_can_be_named(self, hub: Hub, repo: Repo, offline: Callable[[], None]) -> None:
        first = load_encoder(f"{NAME}@refs/pr/5", CPU)
        assert first.id.revision == repo.refs["refs/pr/5"]
        assert first.id.name == f"{NAME}@refs/pr/5"
        offline()
        assert load_encoder(f"{NAME}@refs/pr/5", CPU).id == first.id

    def test_another_model_in_a_pull_request_is_not_taken_for_main(
        self, hub: Hub, repo: Repo, forms: dict[str, dict[str, bytes]], tmp_path: Path
    ) -> None:
        other = folder_files(save_random_clip(tmp_path / "other", seed=3, size=64))
        repo.commit(other, "refs/pr/9")
        assert load_encoder(f"{NAME}@refs/pr/9", CPU).id.name.endswith("9")
        load_encoder(NAME, CPU)
        found = find_cached(HubName(NAME))
        assert found is not None
        assert found.weights[0].name == "pytorch_model.bin"


class TestRevisions:
    """NAME@REVISION."""

    def test_branch_commit_and_main(
        self, hub: Hub, forms: dict[str, dict[str, bytes]], tmp_path: Path, offline: Callable[[], None]
    ) -> None:
        repo = _serve(hub, forms["safetensors"])
        old = repo.refs["main"]
        repo.commit(folder_files(save_random_clip(tmp_path / "m", seed=1)))
        repo.commit(forms["bin"], "v1.0")
        main, pinned, tag = (load_encoder(name, CPU).id for name in (NAME, f"{NAME}@{old}", f"{NAME}@v1.0"))
        assert (main.revision, pinned.revision, tag.revision) == (repo.refs["main"], old, repo.refs["v1.0"])
        assert pinned.key() == tag.key() != main.key()
        offline()
        assert load_encoder(f"{NAME}@{old}", CPU).id == pinned
        assert load_encoder(f"{NAME}@{old[:8]}", CPU).id.key() == pinned.key()
        assert load_encoder(f"{NAME}@main", CPU).id.key() == main.key()
        assert load_encoder(NAME, CPU).id == main

    def test_one_that_does_not_exist(self, hub: Hub, forms: dict[str, dict[str, bytes]]) -> None:
        _serve(hub, forms["safetensors"])
        load_encoder(NAME, CPU)
        with pytest.raises(ModelUnavailable, match="no revision v9") as caught:
            load_encoder(f"{NAME}@v9", CPU)
        assert "main" in caught.value.hint


class TestInterrupted:
    """A download that breaks off goes on where it stopped."""

    @staticmethod
    def digest(files: dict[str, bytes]) -> str:
        """Return the name under which the hub serves the weights."""
        weights = files.get("model.safetensors") or files["pytorch_model.bin"]
        return hashlib.sha256(weights).hexdigest()

    def test_within_one_command(self, hub: Hub, forms: dict[str, dict[str, bytes]], reference: np.ndarray) -> None:
        _serve(hub, forms["bin"])
        large = self.digest(forms["bin"])
        hub.troubles = [Trouble(large, cut=30_000), Trouble(large, cut=5_000)]
        assert load_encoder(NAME, CPU).encode_texts(["a dog"]).tobytes() == reference.tobytes()
        assert [at for _, path, at in hub.asked if "/cdn/" in path and at] == ["bytes=30000-", "bytes=35000-"]

    @pytest.mark.parametrize("ranges", [True, False])
    def test_by_the_next_command(
        self,
        ranges: bool,
        hub: Hub,
        forms: dict[str, dict[str, bytes]],
        reference: np.ndarray,
    ) -> None:
        _serve(hub, forms["safetensors"])
        large = self.digest(forms["safetensors"])
        hub.troubles = [Trouble(large, cut=30_000), Trouble(large, cut=0, times=99)]
        with pytest.raises(ModelUnavailable, match="interrupted") as caught:
            load_encoder(NAME, CPU)
        assert "goes on where it stopped" in caught.value.hint
        assert not loader_of(NAME).is_here(NAME)
        hub.troubles, hub.asked, hub.ranges = [], [], ranges
        assert load_encoder(NAME, CPU).encode_texts(["a dog"]).tobytes() == reference.tobytes()
        assert [at for _, path, at in hub.asked if path.endswith(self.digest(forms["safetensors"]))] == ["bytes=30000-"]
        assert sum(path.endswith("/resolve/main/config.json") for path in hub.paths()) == 0

    def test_what_was_left_is_not_of_this_file(
        self, hub: Hub, forms: dict[str, dict[str, bytes]], reference: np.ndarray
    ) -> None:
        _serve(hub, forms["safetensors"])
        blobs = HubName(NAME).folder / "blobs"
        blobs.mkdir(parents=True)
        (blobs / f"{self.digest(forms['safetensors'])}.incomplete").write_bytes(b"x" * 10_000)
        assert load_encoder(NAME, CPU).encode_texts(["a dog"]).tobytes() == reference.tobytes()


class TestTrouble:
    """Each is one error that says what to do."""

    @pytest.mark.parametrize(
        ("status", "headers", "message", "step"),
        [
            (401, {"X-Error-Code": "GatedRepo"}, "accept a licence", "hf auth login"),
            (403, {"X-Error-Code": "GatedRepo"}, "accept a licence", "hf auth login"),
            (403, {}, "accept a licence", "hf auth login"),
            (401, {}, "accept a licence", "hf auth login"),
            (429, {"Retry-After": "77"}, "wait 77 seconds", "later"),
            (500, {}, "in trouble", "later"),
            (503, {}, "in trouble", "later"),
            (407, {}, "proxy", "HTTPS_PROXY"),
        ],
    )
    @pytest.mark.parametrize("where", ["/api/models", "/resolve/", "/cdn/"])
    def test_statuses(
        self,
        status: int,
        headers: dict[str, str],
        message: str,
        step: str,
        where: str,
        hub: Hub,
        forms: dict[str, dict[str, bytes]],
    ) -> None:
        _serve(hub, forms["bin"])
        hub.troubles = [Trouble(where, status, times=99, headers=headers)]
        with pytest.raises(ModelUnavailable, match=message) as caught:
            load_encoder(NAME, CPU)
        assert NAME in str(caught.value)
        assert step in caught.value.hint
        if "licence" in message:
            assert f"{hub.url}/{NAME}" in caught.value.hint
        assert len(hub.asked) < 40
        hub.troubles = []
        load_encoder(NAME, CPU)

    @pytest.mark.parametrize("wrong", ["someone/tinny", "nobody/tiny"])
    def test_a_name_like_one_in_the_cache(self, wrong: str, hub: Hub, forms: dict[str, dict[str, bytes]]) -> None:
        _serve(hub, forms["safetensors"])
        load_encoder(NAME, CPU)
        with pytest.raises(ModelUnavailable, match=f"no model {wrong}") as caught:
            load_encoder(wrong, CPU)
        assert f"did you mean --model {NAME}?" in caught.value.hint

    def test_a_full_disk(self, hub: Hub, forms: dict[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
        _serve(hub, forms["safetensors"])
        usage = shutil.disk_usage("/")._replace(free=hub_download.SPARE + 100_000)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(ModelUnavailable, match="no room") as caught:
            load_encoder(NAME, CPU)
        assert "HF_HOME" in caught.value.hint
        assert not [path for path in hub.paths() if "/cdn/" in path]

    def test_a_proxy_that_is_not_there(self, hub: Hub) -> None:
        """A subprocess, since the client reads the surroundings once."""
        program = "import shotdex.models.loaders as loaders; loaders.load_encoder('someone/tiny')"
        proxy = {"HTTP_PROXY": "http://me:secret@127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
        ran = _run(hub, program, **proxy)
        last = ran.stderr.strip().splitlines()[-1]
        assert "ModelUnavailable" in last
        assert "proxy" in last
        assert "127.0.0.1:9" in last
        assert "secret" not in ran.stderr

    def test_neither_form(self, hub: Hub, forms: dict[str, dict[str, bytes]]) -> None:
        _serve(hub, forms["neither"])
        with pytest.raises(
            ModelUnavailable, match=r"neither model.safetensors nor pytorch_model.bin; it has tf_model.h5"
        ):
            load_encoder(NAME, CPU)

    def test_another_family_is_refused_before_its_weights_are_fetched(self, hub: Hub) -> None:
        _serve(hub, {"config.json": b'{"model_type": "bert"}', "model.safetensors": bytes(50_000)})
        with pytest.raises(ModelUnavailable, match="'bert'"):
            load_encoder(NAME, CPU)
        assert not [path for path in hub.paths() if "safetensors" in path or "/cdn/" in path]

    def test_a_pickle_that_runs_something(self, hub: Hub, forms: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
        class Evil:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return os.system, (f"touch {tmp_path / 'ran'}",)

        weights = {"text_projection.weight": Evil(), "logit_scale": torch.zeros(1_000_000)}  # as large as the model's
        torch.save(weights, tmp_path / "evil.bin")
        _serve(hub, forms["bin"] | {"pytorch_model.bin": (tmp_path / "evil.bin").read_bytes()})
        with pytest.raises(ModelUnavailable, match="no code"):
            load_encoder(NAME, CPU)
        assert not (tmp_path / "ran").exists()


def _run(hub: Hub, *command: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run shotdex, or a program, with the hub as a process of its own, as a user would."""
    here = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": constants.HF_HUB_CACHE, "HF_HUB_DISABLE_XET": "1"}
    first = [sys.executable, "-c"] if len(command) == 1 else [sys.executable, "-m", "shotdex"]
    return subprocess.run(
        [*first, *map(str, command)], env=os.environ | here | more, capture_output=True, text=True, timeout=120
    )


def test_the_first_command_shows_progress_and_the_second_needs_no_network(
    hub: Hub, forms: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    _serve(hub, forms["bin"])
    save_colour(tmp_path / "a" / "red.png", "red")
    at = ("--store", tmp_path / "store")
    ran = _run(hub, "index", tmp_path / "a", "--model", NAME, *at)
    assert ran.returncode == 0, ran.stderr
    assert f"downloading {NAME}" in ran.stderr
    assert "B/s" in ran.stderr
    asked = len(hub.asked)
    hub.shutdown()
    hub.server_close()
    save_colour(tmp_path / "a" / "blue.png", "blue")
    ran = _run(hub, "index", tmp_path / "a", *at, HF_HUB_OFFLINE="1")
    assert ran.returncode == 0, ran.stderr
    ran = _run(hub, "search", "a dog", *at)
    assert ran.returncode == 0, ran.stderr
    assert len(hub.asked) == asked
    ran = _run(hub, "index", tmp_path / "a", "--model", "someone/other", *at, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE" in ran.stderr
