"""Images are decoded in processes of their own: what one of them does there, the run survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shotdex.indexer import decode_pool as decoding_module
from shotdex.indexer import decoders as workers
from shotdex.indexer.decode_pool import WORKERS, Decoded, Decoder, Result
from shotdex.indexer.decode_worker import NICE, read_frame, write_frame
from shotdex.indexer.decoders import Workers, end_spare
from shotdex.media.decoding.decode import decode
from shotdex.media.files.places import TooManyBytes
from shotdex.models.preprocessing import FixedSize
from shotdex.models.protocols import Prepared
from shotdex.store.errors import ImageFailure, ShotdexError
from shotdex.store.types import Failure, Limits, Reason
from tests.support import hostile
from tests.support.images import encoded, gradient, noise

FIXED = FixedSize(24, None, (24, 24), int(Image.Resampling.BICUBIC), 1 / 255, (0.5,) * 3, (0.5,) * 3)
GOOD = encoded(gradient(), "PNG")


def slow_image(side: int = 1500) -> bytes:
    """An image that takes seconds: Pillow reads this format in Python, and looks each colour up in a list."""
    colours = [f'"{i:02x} c #{i:02x}0000",' for i in range(256)]
    row = '"' + "ff" * side + '",\n'
    return (
        f'/* XPM */\nstatic char *x[] = {{\n"{side} {side} 256 2",\n' + "\n".join(colours) + "\n" + row * side
    ).encode()


SLOW = slow_image()
ALL = Limits(all_formats=True)  # the slow one is of no listed format


class Files:
    """Files by address, and who asked for them."""

    def __init__(self, files: Mapping[str, bytes | Exception]) -> None:
        self.files = files
        self.asked: list[tuple[str, int]] = []
        self.threads: set[int] = set()

    def read(self, address: str, limit: int) -> bytes:
        self.asked.append((address, limit))
        self.threads.add(threading.get_ident())
        found = self.files[address]
        if isinstance(found, Exception):
            raise found
        return found

    def decoder(self, **changes: Any) -> Decoder:
        parts: dict[str, Any] = {
            "prepare": FIXED.prepare,
            "portable": FIXED.portable,
            "is_known": lambda _: False,
            "read": self.read,
            "limits": ALL,
        }
        return Decoder(**(parts | changes))


def decoded(files: Mapping[str, bytes | Exception], **changes: Any) -> dict[str, Result]:
    decoder = Files(files).decoder(**changes)
    return {address_of(result): result for result in decoder.decode_ahead(files, 8)}


def address_of(result: Result) -> str:
    return result.path if isinstance(result, Failure) else result.address


def reason(result: Result) -> tuple[str, Reason]:
    assert isinstance(result, Failure)
    return result.stage, result.reason


@pytest.fixture(autouse=True)
def nothing_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start every process anew here, and leave none to others."""
    monkeypatch.setattr(workers, "SPARE", 0)
    monkeypatch.setattr(workers, "_spare", [])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Every process that was started; none may be left when the test ends."""
    processes: list[subprocess.Popen[bytes]] = []
    start = workers.start_process

    def recorded() -> subprocess.Popen[bytes]:
        processes.append(start())
        return processes[-1]

    monkeypatch.setattr(workers, "start_process", recorded)
    yield processes
    assert [process.pid for process in processes if process.returncode is None] == []
    for process in processes:
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is None or pipe.closed


def when_at_work(started: list[subprocess.Popen[bytes]], do: Callable[[int], None]) -> threading.Thread:
    """Call `do` with the first process's number, when it has been decoding for a moment."""

    def wait() -> None:
        while not started or started[0].stderr is None or not started[0].stderr.closed:  # closed when it is ready
            time.sleep(0.01)
        time.sleep(0.3)
        do(started[0].pid)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


class TestImages:
    """What comes back."""

    def test_equal_to_preparing_here_bit_for_bit(self) -> None:
        images = {f"{i}": encoded(noise(i, 20 + 37 * i, 90 - 8 * i), "PNG" if i % 2 else "JPEG") for i in range(10)}
        for result in decoded(images).values():
            assert isinstance(result, Decoded)
            image = decode(images[address_of(result)])
            want, got = FIXED.prepare(image), result.prepared
            assert got is not None
            assert (result.width, result.height) == image.size
            assert got.keys() == want.keys()
            for name in want:
                assert got[name].dtype == want[name].dtype
                assert np.array_equal(got[name], want[name])

    def test_an_exact_size_goes_through_json(self) -> None:
        exact = FixedSize(None, (10, 12), None, 2, 1.0, (0.0,) * 3, (1.0,) * 3)
        assert FixedSize.of(json.loads(json.dumps(exact.portable))) == exact
        [result] = decoded({"a": GOOD}, prepare=exact.prepare, portable=exact.portable).values()
        assert isinstance(result, Decoded)
        assert result.prepared is not None
        assert np.array_equal(result.prepared["pixels"], exact.prepare(decode(GOOD))["pixels"])

    def test_where_only_this_process_can_prepare(self) -> None:
        here = []

        def prepare(image: Image.Image) -> Prepared:
            here.append(os.getpid())
            return {"all": np.asarray(image).copy()}

        [result] = decoded({"a": GOOD}, prepare=prepare, portable=None).values()
        assert isinstance(result, Decoded)
        assert result.prepared is not None
        assert np.array_equal(result.prepared["all"], np.asarray(gradient()))
        assert here == [os.getpid()]

    def test_known_content_is_not_decoded(self, started: list[Any]) -> None:
        [result] = decoded({"a": SLOW}, is_known=lambda content: len(content) == 64).values()
        assert isinstance(result, Decoded)
        assert result.prepared is None
        assert started == []

    def test_each_bad_one_is_refused_and_the_order_kept(self) -> None:
        files: dict[str, bytes | Exception] = {
            "good": GOOD,
            "text": b"hello",
            "gone": FileNotFoundError("no such file"),
            "large": TooManyBytes("more than 9 bytes"),
            "empty": b"",
            "odd": KeyError("member"),
            "cut": GOOD[:-100],
            "bomb": hostile.HUGE,
            "also good": encoded(gradient(), "JPEG"),
        }
        results = decoded(files)
        assert list(results) == list(files)
        assert {name for name, result in results.items() if isinstance(result, Decoded)} == {"good", "also good"}
        assert {name: reason(results[name]) for name in files if "good" not in name} == {
            "text": ("decode", Reason.NOT_AN_IMAGE),
            "gone": ("read", Reason.UNREADABLE),
            "large": ("read", Reason.TOO_LARGE),
            "empty": ("decode", Reason.EMPTY),
            "odd": ("read", Reason.UNREADABLE),
            "cut": ("decode", Reason.TRUNCATED),
            "bomb": ("decode", Reason.TOO_LARGE),
        }

    def test_too_long_and_thin_to_be_resized(self) -> None:
        wide = FixedSize(4000, None, (224, 224), 3, 1.0, (0.0,) * 3, (1.0,) * 3)
        [result] = decoded({"line": encoded(Image.new("1", (50_000, 1)), "PNG")}, portable=wide.portable).values()
        assert reason(result) == ("decode", Reason.TOO_LARGE)

    def test_an_error_in_preparing_here_is_a_refusal(self) -> None:
        def prepare(image: Image.Image) -> Prepared:
            raise ValueError(f"not {image.size}")

        [result] = decoded({"a": GOOD}, prepare=prepare, portable=None).values()
        assert reason(result) == ("decode", Reason.CORRUPT)

    def test_limits_reach_the_process(self) -> None:
        assert reason(decoded({"a": GOOD}, limits=Limits(pixels=10))["a"]) == ("decode", Reason.TOO_LARGE)
        files = Files({"a": GOOD})
        assert isinstance(next(files.decoder(limits=Limits(None, None, None)).decode_ahead(files.files, 1)), Decoded)
        assert files.asked[0][1] > 1 << 60
        next(files.decoder(limits=Limits(bytes=77)).decode_ahead(files.files, 1))
        assert files.asked[1] == ("a", 77)


class TestReading:
    """Who reads, and how far ahead."""

    def test_in_order_one_thread_reads_and_not_too_far_ahead(self) -> None:
        files = Files({f"{i}": encoded(noise(i), "PNG") for i in range(60)})
        behind = []
        for i, _ in enumerate(files.decoder(in_order=True).decode_ahead(files.files, 50)):
            behind.append(len(files.asked) - i)
        assert [address for address, _ in files.asked] == list(files.files)
        assert files.threads == {threading.get_ident()}

    def test_in_order_few_files_wait_in_memory(self, started: list[subprocess.Popen[bytes]]) -> None:
        files = Files({f"{i}": SLOW if i < 2 * WORKERS else GOOD for i in range(60)})
        read = []

        def end(pid: int) -> None:
            read.append(len(files.asked))
            os.kill(pid, signal.SIGKILL)

        thread = when_at_work(started, end)
        decoder = files.decoder(in_order=True, limits=Limits(seconds=1.0, all_formats=True))
        assert len(list(decoder.decode_ahead(files.files, 50))) == 60
        thread.join()
        assert read[0] <= 2 * WORKERS + 1

    def test_otherwise_others_read(self) -> None:
        files = Files({f"{i}": encoded(noise(i), "PNG") for i in range(20)})
        results = list(files.decoder().decode_ahead(files.files, 5))
        assert [address_of(result) for result in results] == list(files.files)
        assert threading.get_ident() not in files.threads


@pytest.mark.parametrize("in_order", [True, False])
class TestSharedCores:
    """Decoders that work only while somebody waits for them."""

    def test_all_come_in_order(self, in_order: bool) -> None:
        files = Files({f"{i}": encoded(noise(i), "PNG") for i in range(40)})
        found = files.decoder(in_order=in_order, shares_cores=True).decode_ahead(files.files, 7)
        assert [address_of(result) for result in found] == list(files.files)

    def test_nothing_is_read_into_pixels_meanwhile(self, in_order: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        begun: list[int] = []
        decode = Workers.decode
        monkeypatch.setattr(Workers, "decode", lambda self, data: (begun.append(1), decode(self, data))[1])
        files = Files({f"{i}": encoded(noise(i), "PNG") for i in range(40)})
        found = files.decoder(in_order=in_order, shares_cores=True).decode_ahead(files.files, 7)
        for number, _ in enumerate(found):
            if number % 8 == 0:
                time.sleep(0.4)  # what had begun ends
                before = len(begun)
                time.sleep(0.1)
                assert len(begun) == before

    def test_a_slow_source_keeps_nothing_back(self, in_order: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """One file that does not come is not waited for with those that did."""
        monkeypatch.setattr(decoding_module, "LONG_TURN", 0.2)
        held, names = threading.Event(), [f"{i}" for i in range(5)]
        good = encoded(noise(1), "PNG")

        def read(address: str, limit: int) -> bytes:
            if address == names[-1] and not in_order:
                held.wait(30)
            return good

        decoder = Files(dict.fromkeys(names, good)).decoder(in_order=in_order, shares_cores=True, read=read)
        found = decoder.decode_ahead(names, 5)
        try:
            assert [address_of(next(found)) for _ in range(4)] == names[:4]
        finally:
            held.set()
        assert [address_of(result) for result in found] == names[4:]

    def test_whoever_stops_early_waits_for_nobody(self, in_order: bool) -> None:
        files = Files({f"{i}": encoded(noise(i), "PNG") for i in range(40)})
        found = files.decoder(in_order=in_order, shares_cores=True).decode_ahead(files.files, 7)
        next(found)
        found.close()


class TestTurns:
    """Decoders wait until it is their turn, and only where they share the cores."""

    def test_decoders_begin_and_only_shared_cores_are_waited_for(self) -> None:
        shared, apart = Files({}).decoder(shares_cores=True), Files({}).decoder(shares_cores=False)
        assert shared._may_decode.is_set()
        with shared._decoding(), apart._decoding():
            assert shared._may_decode.is_set()
        assert not shared._may_decode.is_set()
        assert apart._may_decode.is_set()
        with shared._decoding():
            assert shared._may_decode.is_set()

    def test_a_turn_that_fails_ends(self) -> None:
        decoder = Files({}).decoder(shares_cores=True)
        with pytest.raises(MemoryError), decoder._decoding():
            raise MemoryError
        assert not decoder._may_decode.is_set()


@pytest.mark.skipif(os.name != "posix", reason="signals")
class TestProcesses:
    """What may happen to one."""

    def test_a_image_that_takes_too_long(self, started: list[Any]) -> None:
        results = decoded(
            {"a": GOOD, "slow": SLOW, "b": encoded(noise(3), "PNG")}, limits=Limits(seconds=0.4, all_formats=True)
        )
        assert reason(results["slow"]) == ("decode", Reason.TOO_SLOW)
        assert "0.4 s" in results["slow"].detail  # type: ignore[union-attr]
        assert isinstance(results["a"], Decoded)
        assert isinstance(results["b"], Decoded)

    @pytest.mark.parametrize(
        ("sent", "why"),
        [(signal.SIGSEGV, Reason.CORRUPT), (signal.SIGABRT, Reason.CORRUPT), (signal.SIGKILL, Reason.TOO_LARGE)],
    )
    def test_a_crash(self, started: list[subprocess.Popen[bytes]], sent: signal.Signals, why: Reason) -> None:
        thread = when_at_work(started, lambda pid: os.kill(pid, sent))
        results = decoded({"bad": SLOW})
        thread.join()
        assert reason(results["bad"]) == ("decode", why)
        if why is Reason.CORRUPT:
            assert sent.name in results["bad"].detail  # type: ignore[union-attr]

    def test_one_that_dies_between_two_images_costs_none(self, started: list[subprocess.Popen[bytes]]) -> None:
        pool = Workers(Limits(), None, 1)
        for _ in range(3):
            assert pool.decode(GOOD).width == 40
            started[-1].kill()
            started[-1].wait()
        assert pool.decode(GOOD).height == 30
        pool.close()
        assert len(started) == 4

    def test_one_that_dies_of_what_others_left_behind_gets_a_second_chance(self, started: list[Any]) -> None:
        pool = Workers(Limits(), None, 1)
        pool.decode(GOOD)
        started[0].send_signal(signal.SIGSTOP)  # it takes the next image in, and dies before it answers

        def end() -> None:
            time.sleep(0.2)
            started[0].send_signal(signal.SIGSEGV)
            started[0].send_signal(signal.SIGCONT)

        thread = threading.Thread(target=end)
        thread.start()
        assert pool.decode(GOOD).width == 40
        thread.join()
        pool.close()
        assert len(started) == 2

    def test_an_interrupt_from_the_terminal_is_not_for_them(self, started: list[subprocess.Popen[bytes]]) -> None:
        pool = Workers(Limits(), None, 1)
        pool.decode(GOOD)
        started[0].send_signal(signal.SIGINT)
        assert pool.decode(GOOD).width == 40
        assert os.getpgid(started[0].pid) != os.getpgid(0)
        pool.close()
        assert len(started) == 1

    @pytest.mark.skipif(not hasattr(os, "getpriority"), reason="there are no such priorities here")
    def test_the_model_goes_first(self, started: list[subprocess.Popen[bytes]]) -> None:
        pool = Workers(Limits(), None, 1)
        pool.decode(GOOD)
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, started[0].pid) == min(19, ours + NICE)
        pool.close()

    def test_an_idle_one_is_left_to_the_next_with_the_same_settings(
        self, started: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(workers, "SPARE", 1)
        for limits in (Limits(), Limits(), Limits(pixels=10_000)):
            pool = Workers(limits, None, 1)
            assert pool.decode(encoded(gradient(), "PNG")).width == 40
            pool.close()
        assert len(started) == 2
        workers._spare[0].process.kill()
        started[0].wait()
        again = Workers(Limits(), None, 1)
        assert again.decode(encoded(gradient(), "PNG")).width == 40, "a dead one is not taken"
        again.close(now=True)
        end_spare()

    def test_few_images_need_one_process(self, started: list[Any]) -> None:
        decoded({f"{i}": encoded(noise(i), "PNG") for i in range(4)})
        assert len(started) == 1

    @pytest.mark.parametrize("in_order", [True, False])
    def test_an_iterator_that_is_left_early_leaves_nothing(self, started: list[Any], in_order: bool) -> None:
        files = Files({f"{i}": SLOW if i else GOOD for i in range(20)})
        results = files.decoder(in_order=in_order).decode_ahead(files.files, 1 if in_order else 10)
        began = time.monotonic()
        next(results)
        results.close()  # type: ignore[attr-defined]
        assert time.monotonic() - began < 2.5

    def test_an_error_among_the_items_leaves_nothing(self, started: list[Any]) -> None:
        def items() -> Iterator[str]:
            yield "a"
            time.sleep(0.5)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(Files({"a": SLOW}).decoder().decode_ahead(items(), 10))

    def test_no_process_can_be_started(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[Any]
    ) -> None:
        (tmp_path / "numpy.py").write_text("raise ImportError('numpy is broken here')", encoding="ascii")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(ShotdexError, match="could not be started: ImportError: numpy is broken here") as caught:
            decoded({f"{i}": GOOD for i in range(20)})
        assert "decode_worker" in caught.value.hint

    def test_there_is_no_such_program(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(ShotdexError, match="could not be started: FileNotFoundError"):
            decoded({"a": GOOD})

    def test_after_closing_nothing_is_started(self, started: list[Any]) -> None:
        pool = Workers(Limits(), None, 1)
        pool.close()
        with pytest.raises(ImageFailure, match="interrupted"):
            pool.decode(GOOD)
        assert started == []

    def test_they_end_with_a_parent_that_was_killed(self) -> None:
        script = (
            "from shotdex.indexer import decoders as workers\n"
            "from shotdex.store.types import Limits\n"
            "import sys, time\n"
            "pool = workers.Workers(Limits(), None, 1)\n"
            "pool.decode(sys.stdin.buffer.read())\n"
            "print(next(iter(pool._all)).process.pid, flush=True)\n"
            "time.sleep(60)\n"
        )
        with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
            assert parent.stdin is not None
            assert parent.stdout is not None
            parent.stdin.write(GOOD)
            parent.stdin.close()
            pid = int(parent.stdout.readline())
            os.kill(pid, 0)
            parent.kill()
        ends = time.monotonic() + 5
        while is_running(pid):
            assert time.monotonic() < ends
            time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


class TestWorker:
    """The program by itself."""

    @pytest.fixture
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-P", "-m", "shotdex.indexer.decode_worker"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
            yield process
            process.kill()

    def test_nothing_but_replies_comes_out(self, worker: subprocess.Popen[bytes]) -> None:
        assert worker.stdin is not None
        write_frame(worker.stdin, options_of(Limits()))
        noisy = [hostile.kinds()["tiff whose lzw is none"].data, hostile.kinds()["tiff with 99 samples"].data]
        for data in (*noisy, GOOD):
            write_frame(worker.stdin, data)
        out, err = worker.communicate()
        assert err == b""
        assert worker.returncode == 0
        frames = list(frames_of(out))
        assert frames[0] == b""
        assert [json.loads(frame).get("reason") for frame in frames[1::2]] == ["CORRUPT", "UNSUPPORTED", None]
        reply = json.loads(frames[5])
        assert set(reply.pop("photo")) >= {"taken_at", "camera", "exif"}
        assert reply == {"width": 40, "height": 30, "arrays": [["rgb", [30, 40, 3]]]}
        assert frames[6] == np.asarray(gradient()).tobytes()
        assert len(frames) == 7

    @pytest.mark.skipif(sys.platform != "linux", reason="/proc")
    @pytest.mark.parametrize("pixels", [1000, None])
    def test_its_memory_is_bounded(self, worker: subprocess.Popen[bytes], pixels: int | None) -> None:
        assert worker.stdin is not None
        assert worker.stdout is not None
        write_frame(worker.stdin, options_of(Limits(pixels=pixels)))
        worker.stdin.flush()
        assert read_frame(worker.stdout) == b""
        lines = Path(f"/proc/{worker.pid}/limits").read_text(encoding="ascii").splitlines()
        limits = {line[:26].strip(): line[26:].split()[0] for line in lines}
        assert limits["Max core file size"] == "0"
        assert limits["Max address space"] == ("unlimited" if pixels is None else str(3 * 2**30 + 16_000))
        assert Path(f"/proc/{worker.pid}/oom_score_adj").read_text(encoding="ascii").strip() == "1000"

    def test_it_imports_no_model_and_no_database(self) -> None:
        command = [sys.executable, "-P", "-X", "importtime", "-m", "shotdex.indexer.decode_worker"]
        ran = subprocess.run(command, input=b"", capture_output=True, check=True)
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ran.stderr.decode().splitlines()}
        assert {"numpy", "PIL"} <= imported
        assert not {"torch", "transformers", "duckdb", "faiss", "pyarrow", "fsspec", "zipfile", "tarfile"} & imported


def options_of(limits: Limits) -> bytes:
    return json.dumps({"limits": asdict(limits), "portable": None}).encode()


def frames_of(data: bytes) -> Iterator[bytes]:
    while data:
        length = int.from_bytes(data[:8], "little")
        yield data[8 : 8 + length]
        data = data[8 + length :]


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="only Linux weighs sessions against each other")
def test_a_worker_in_the_session_of_others_slows_nobody_down() -> None:
    child = "from shotdex.indexer.decode_worker import _step_back; _step_back()"
    code = f"""
import subprocess, sys
subprocess.run([sys.executable, "-P", "-c", {child!r}], check=True)
print(open("/proc/self/autogroup").read())
"""
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code], start_new_session=True, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip().endswith("nice 0")
