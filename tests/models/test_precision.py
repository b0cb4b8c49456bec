"""`--precision auto`, the size of a batch, and what happens where memory ends."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from shotdex.models import device
from shotdex.models.device import doubled
from shotdex.models.precision import Run, choose_precision, drawn_images, lowest_cosine
from shotdex.models.preprocessing import collate
from shotdex.models.protocols import Prepared
from shotdex.models.transformers_encoder import EncoderOptions, TransformersEncoder, load_encoder
from shotdex.store.errors import ModelUnavailable, OptionError
from shotdex.store.types import ImageVectors, Precision
from tests.support.images import noise

PROBE = [{"pixels": np.full((1,), i, np.uint8)} for i in range(6)]


def runner(seconds: dict[Precision, float], angle: float) -> Any:
    """Vectors that another precision turns by an angle, the last of them; so many seconds an image."""

    def of(precision: Precision) -> Run:
        def run(batch: Sequence[Prepared]) -> ImageVectors:
            time.sleep(seconds[precision] * len(batch))
            turn = np.zeros(len(batch))
            turn[-1] = 0.0 if precision is Precision.FLOAT32 else angle
            joint = np.stack([np.cos(turn), np.sin(turn)], axis=1).astype(np.float32)
            return ImageVectors(joint, 3 * joint)

        return run

    return of


@pytest.mark.parametrize(
    ("fast", "angle", "chosen"),
    [(True, 0.04, Precision.BF16), (True, 0.05, Precision.FLOAT32), (True, math.nan, Precision.FLOAT32)],
)
def test_the_fastest_that_is_as_good(fast: bool, angle: float, chosen: Precision) -> None:
    """cos 0.04 is 0.9992, cos 0.05 is 0.9987."""
    choice = choose_precision(runner({Precision.FLOAT32: 0.02, Precision.BF16: 0.001}, angle), [Precision.BF16], PROBE)
    assert choice.precision is chosen
    [trial] = choice.trials
    assert trial.cosine == pytest.approx(math.cos(angle), abs=1e-6, nan_ok=True)
    assert trial.images == 6
    assert str(choice).startswith(f"precision {chosen.value}: bf16 runs at ")


def test_vectors_of_the_other_space_that_are_not_finite_are_seen() -> None:
    """The mean over patches overflows in fp16 where the class token does not."""

    def of(precision: Precision) -> Run:
        def run(batch: Sequence[Prepared]) -> ImageVectors:
            time.sleep(0.02 * len(batch) * (precision is Precision.FLOAT32))
            rows = np.ones((len(batch), 2), np.float32)
            return ImageVectors(rows, rows if precision is Precision.FLOAT32 else rows * np.float32(math.inf))

        return run

    with np.errstate(invalid="ignore"):
        choice = choose_precision(of, [Precision.FP16], PROBE)
    assert choice.precision is Precision.FLOAT32
    assert math.isnan(choice.trials[0].cosine)


def test_a_format_without_memory_to_try_it_is_not_taken() -> None:
    quick = runner({Precision.FLOAT32: 0.02, Precision.BF16: 0.001}, 0.0)

    def of(precision: Precision) -> Run:
        if precision is Precision.FP16:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return quick(precision)

    choice = choose_precision(of, [Precision.FP16, Precision.BF16], PROBE)
    assert choice.precision is Precision.BF16
    assert "there is no memory to try fp16; bf16 runs at" in str(choice)


def test_another_error_of_a_trial_is_not_hidden() -> None:
    def of(_: Precision) -> Run:
        raise RuntimeError("the driver is gone")

    with pytest.raises(RuntimeError, match="the driver is gone"):
        choose_precision(of, [Precision.BF16], PROBE)


def test_one_that_is_slower_goes_no_further() -> None:
    choice = choose_precision(runner({Precision.FLOAT32: 0.001, Precision.BF16: 0.02}, 0.0), [Precision.BF16], PROBE)
    assert (choice.precision, choice.trials[0].images) == (Precision.FLOAT32, 0)
    assert "cosine" not in str(choice)


def test_where_nothing_else_runs() -> None:
    choice = choose_precision(runner({Precision.FLOAT32: 0.0}, 0.0), [], PROBE)
    assert (choice.precision, str(choice)) == (Precision.FLOAT32, "precision float32: nothing else runs here")


def test_the_lowest_cosine_of_vectors_of_any_length() -> None:
    first = np.array([[1, 0], [0, 2], [3, 4]], np.float32)
    assert lowest_cosine(first, np.array([[5, 0], [0, 1], [4, 3]], np.float32)) == pytest.approx(24 / 25)


@pytest.fixture
def encoder(clip_folder: Path) -> TransformersEncoder:
    return load_encoder(str(clip_folder), EncoderOptions("cpu"))


class TestARealModel:
    """A small CLIP with random weights on the CPU."""

    @pytest.mark.parametrize("count", [0, 5])
    def test_auto_is_one_of_its_candidates_and_as_good(
        self, clip_folder: Path, encoder: TransformersEncoder, count: int
    ) -> None:
        images = [noise(i, 40, 30) for i in range(count)]
        auto = load_encoder(str(clip_folder), EncoderOptions("cpu", "auto"), lambda: images)
        assert auto.choice is not None
        assert auto.id.precision is auto.choice.precision
        assert [trial.precision for trial in auto.choice.trials] == [Precision.BF16]
        if auto.choice.trials[0].images:
            assert 2 <= auto.choice.trials[0].images <= (count or 16)
        got, want = auto.encode_images(drawn_images(4)), encoder.encode_images(drawn_images(4))
        assert lowest_cosine(got, want) > 0.998
        assert auto.id.weights_sha256 == encoder.id.weights_sha256

    @pytest.mark.parametrize("room", [1, 3, 7])
    def test_a_batch_that_is_too_large_is_halved(self, encoder: TransformersEncoder, room: int) -> None:
        batch = [encoder.prepare(image) for image in drawn_images(11)]
        want, rows = encoder.encode_prepared(batch), limit_rows(encoder, room)
        for _ in range(2):
            got = encoder.encode_prepared(batch)
            assert np.abs(got.joint - want.joint).max() < 1e-6
            assert np.abs(got.vision - want.vision).max() < 1e-5
        size = {1: 1, 3: 2, 7: 5}[room]
        assert rows[:3] == {1: [11, 5, 2], 3: [11, 5, 2], 7: [11, 5, 5]}[room]
        assert max(rows[-3:]) == size, "later batches are cut before"
        assert sum(n for n in rows if n <= room) == 22

    def test_no_room_for_a_single_one(self, encoder: TransformersEncoder) -> None:
        limit_rows(encoder, 0)
        with pytest.raises(ModelUnavailable, match="no room for the model and one image"):
            encoder.encode_images(drawn_images(3))

    def test_another_error_of_the_model_is_not_taken_for_want_of_memory(self, encoder: TransformersEncoder) -> None:
        with pytest.raises(RuntimeError, match=r"shape|size"):
            encoder.encode_prepared([{"pixels": np.zeros((4, 32, 32), np.uint8)}] * 2)

    def test_a_compiler_that_is_not_there(self, clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_compiler(*_: Any, **__: Any) -> Any:
            raise RuntimeError("No working C++ compiler found\nand more")

        monkeypatch.setattr(torch, "compile", lambda *_, **__: no_compiler)
        with pytest.raises(OptionError, match=r"cannot be compiled here: No working C\+\+ compiler found$"):
            load_encoder(str(clip_folder), EncoderOptions("cpu", compile=True))


class TestCompiledBatches:
    """Full batches go through the compiled program: those of the size that is used, not of one that was tried."""

    @pytest.fixture
    def ran(self, encoder: TransformersEncoder) -> list[int]:
        """The sizes of batches that go through the program from now on."""
        sizes: list[int] = []

        def program(**inputs: Any) -> Any:
            sizes.append(len(inputs["pixel_values"]))
            return encoder._tower._vectors(**inputs)

        encoder._tower._compiled = program
        return sizes

    def test_after_the_size_was_chosen(
        self, encoder: TransformersEncoder, ran: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(device, "doubled", lambda rate: (rate(4), rate(8), 4)[2])
        monkeypatch.setattr(encoder._tower, "device", SimpleNamespace(type="cuda"))
        monkeypatch.setattr(type(encoder._tower), "_sent", lambda tower, batch: collate(batch, pinned=False))
        monkeypatch.setattr(type(encoder._tower), "_fetched", lambda *_: lambda: None)
        size = device.best_batch(encoder._tower)
        ran.clear()
        batch = [encoder.prepare(image) for image in drawn_images(10)]
        for start in range(0, 10, size):
            encoder.begin(batch[start : start + size])
        assert ran == [4, 4], "not the two that are left"

    def test_after_memory_ended(self, encoder: TransformersEncoder, ran: list[int]) -> None:
        batch = [encoder.prepare(image) for image in drawn_images(8)]
        limit_rows(encoder, 4)
        encoder.encode_prepared(batch)
        encoder.encode_prepared(batch)
        assert ran == [8, 4, 4, 4, 4]


def limit_rows(encoder: TransformersEncoder, room: int) -> list[int]:
    """Have the model raise what a GPU raises above so many rows; return the list of what it was called with."""
    rows: list[int] = []

    def look(_: Any, __: Any, inputs: dict[str, Any]) -> None:
        rows.append(len(inputs["pixel_values"]))
        if rows[-1] > room:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    encoder._model.vision_model.register_forward_pre_hook(look, with_kwargs=True)
    return rows


@pytest.mark.parametrize(
    ("rates", "room", "found"),
    [
        ({32: 100, 64: 190, 128: 300, 256: 310}, 2000, 128),
        ({32: 100, 64: 101}, 2000, 32),
        ({size: size for size in (32, 64, 128, 256, 512, 1024, 2048)}, 2000, 1024),
        ({size: size for size in (32, 64, 128, 256)}, 100, 64),
        ({size: size for size in (4, 8, 16, 32)}, 10, 8),
        ({}, 0, 1),
    ],
)
def test_the_size_of_a_batch_doubles_while_that_pays_and_memory_lasts(
    rates: dict[int, float], room: int, found: int
) -> None:
    def rate(size: int) -> float:
        if size > room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return rates[size]

    assert doubled(rate) == found
