"""Workers in a Ray cluster: actors that keep a model and encode parts to shards.

Parts travel as JSON, not as pickled objects, and no image or vector goes through Ray: workers read the source and write
shards by themselves. Ray Core, not Ray Data: of a part that kills its worker Ray Data never ends.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from shotdex.media.decoding.decode import quiet_pillow
from shotdex.media.files.places import Exchange
from shotdex.media.sources import open_known_source
from shotdex.store.errors import EncoderMismatch, OptionError, ShotdexError, StoreError
from shotdex.store.progress import NoProgress
from shotdex.store.store import Store
from shotdex.store.types import Limits

from . import decode_pool
from .encode_parts import Recipe, encode_items, file_name, versions
from .failures import decoder_version
from .place import Place
from .run import IndexOptions
from .shard_header import Origin, parse_header
from .shards import write_shard
from .work_off import Event, Task

OBJECT_STORE = 100 << 20
"""Bytes of a local cluster's object store: only texts go through it."""


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Where and how to run: `address` None is a cluster on this machine, for this command.

    `workers` None takes as many as there is room for; each gets `gpus`, which may be a fraction, and `cpus`.
    """

    address: str | None = None
    workers: int | None = None
    gpus: float | None = None
    cpus: int = 1


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker has to know: the driver decides it once, and it travels as JSON."""

    model: str
    precision: str
    device: str
    batch: int
    key: tuple[str, ...]
    root: str
    columns: dict[str, str]
    reading: dict[str, bool | str]
    place: str
    probe: str
    limits: Limits
    web: tuple[float | None, int | None]
    cpus: int


class Worker:
    """One process with a model. Its methods take and return JSON; errors that any worker would meet are results."""

    def __init__(self, job: str) -> None:
        self._said = json.loads(job)

    def ready(self) -> str:
        """Load the model and look at the place and the source."""
        return _guarded(self._open)

    def encode(self, task: str) -> str:
        """Encode a part to a shard."""
        return _guarded(lambda: self._encode(json.loads(task)))

    def _open(self) -> str:
        from shotdex.models.encoder_pool import EncoderPool, ModelOptions

        said = self._said
        quiet_pillow()
        decode_pool.WORKERS = max(2, said["cpus"])
        self._place = Place(said["place"])
        if said["probe"] and not (Path(self._place.url) / said["probe"]).is_file():
            raise OptionError(
                f"a worker on {socket.gethostname()} cannot access {self._place}",
                "pass a folder that all nodes share, or a bucket: --out PLACE",
            )
        self._source = open_known_source(said["root"], said["columns"], said["reading"], None, False)
        pool = EncoderPool(Store(Path(os.devnull) / "no store"), said["device"])
        choice = pool.for_indexing(ModelOptions(said["model"], said["precision"]), lambda _: None)
        encoder = choice.encoder()
        if list(encoder.id.key()) != said["key"]:
            raise EncoderMismatch(
                f"the model {said['model']} on {socket.gethostname()} is not that of the driver, but {encoder.id}",
                "use the same versions of the model's files and the libraries on all nodes",
            )
        limits = Limits(**said["limits"])
        options = IndexOptions(batch_size=said["batch"], limits=limits)
        self._recipe = Recipe(Origin(said["root"]), "", 0, encoder, options)
        self._web = Exchange(said["web"][0], said["web"][1], named=True, silent={})
        return socket.gethostname()

    def _encode(self, task: dict[str, Any]) -> str:
        header = parse_header(task["header"])
        header = replace(header, decoder=decoder_version(self._recipe.options.limits), versions=versions())
        kinds = {"size_bytes": pa.int64(), "modified_ns": pa.int64()}
        said = pa.table({name: pa.array(rows, kinds.get(name, pa.string())) for name, rows in task["said"].items()})
        with self._web.in_effect():
            batch = encode_items(said, self._source, self._recipe, NoProgress())
        write_shard(self._place, file_name(header), header, batch)
        return file_name(header)


def _guarded(work: Callable[[], str]) -> str:
    try:
        return json.dumps({"done": work()})
    except ShotdexError as error:
        return json.dumps({"error": str(error), "hint": error.hint})


class RayCrew:
    """Implements `Crew` with actors. Use it in a `with` statement, which ends what it started."""

    def __init__(self, job: Job, options: RayOptions, payload: Callable[[Task], str]) -> None:
        """`payload` returns a task as JSON.

        Raises:
            OptionError: Ray is not installed, or the address needs a token.
            StoreError: the cluster cannot be reached.
        """
        check_address(options.address)
        self._ray = _connect(options)
        self._job, self._options, self._payload = json.dumps(asdict(job)), options, payload
        asked = {"num_cpus": options.cpus, "num_gpus": self.gpus()}
        self._actor = self._ray.remote(Worker).options(**asked, max_restarts=0, scheduling_strategy="SPREAD")
        self._asked = asked
        self._actors: dict[int, Any] = {}
        self._awaited: dict[Any, int] = {}
        self._started = 0

    def gpus(self) -> float:
        """Return how many GPUs each worker gets: one where the cluster has some and nobody said otherwise."""
        if self._options.gpus is not None:
            return self._options.gpus
        return 1.0 if self._ray.cluster_resources().get("GPU", 0) >= 1 else 0.0

    def room(self) -> int:
        """Return how many workers there is room for, at least 1."""
        has = self._ray.cluster_resources()
        by_gpu = has.get("GPU", 0) / self._asked["num_gpus"] if self._asked["num_gpus"] else float("inf")
        return max(1, int(min(has.get("CPU", 0) / self._options.cpus, by_gpu)))

    def start(self) -> int:
        """See `Crew`."""
        self._started += 1
        actor = self._actor.remote(self._job)
        self._actors[self._started] = actor
        self._awaited[actor.ready.remote()] = self._started
        return self._started

    def give(self, worker: int, task: Task) -> None:
        """See `Crew`."""
        self._awaited[self._actors[worker].encode.remote(self._payload(task))] = worker

    def wait(self, seconds: float) -> Sequence[Event]:
        """See `Crew`."""
        if not self._awaited:
            time.sleep(seconds)
            return []
        done, _ = self._ray.wait(list(self._awaited), num_returns=1, timeout=seconds)
        return [self._event(reference) for reference in done]

    def _event(self, reference: Any) -> Event:
        worker = self._awaited.pop(reference)
        try:
            said = json.loads(self._ray.get(reference))
        except self._ray.exceptions.RayTaskError as error:  # a defect of ours, or of a library: it would come again
            raise StoreError(f"a worker failed: {str(error.cause)[:500]}", "look at the cluster's logs") from error
        except self._ray.exceptions.RayError as error:
            self._actors.pop(worker, None)
            return Event(worker, "lost", (str(error).strip().splitlines() or [type(error).__name__])[0][:200])
        if "error" in said:
            raise StoreError(said["error"], said["hint"])
        return Event(worker, "done", said["done"])

    def lacking(self) -> str:
        """See `Crew`."""
        has = {name: self._ray.cluster_resources().get(name, 0) for name in ("CPU", "GPU")}
        free = {name: self._ray.available_resources().get(name, 0) for name in ("CPU", "GPU")}
        there = ", ".join(f"{has[name]:g} {name} ({free[name]:g} free)" for name in has)
        needs = f"{self._asked['num_cpus']} CPU and {self._asked['num_gpus']:g} GPU"
        return f"each worker needs {needs}, the cluster has {there}"

    def __enter__(self) -> RayCrew:
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._ray.shutdown()


def check_address(address: str | None) -> None:
    """Check that only who has the token can reach the cluster: whoever can may run any code there, and here.

    Raises:
        OptionError: the address is not of this machine alone, and Ray does not ask for a token.
    """
    if address is None or os.environ.get("RAY_AUTH_MODE", "").lower() == "token":
        return
    host = address.rpartition("://")[2].rpartition(":")[0].strip("[]") or address
    try:
        alone = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        alone = False
    if not alone:
        raise OptionError(
            f"the Ray cluster at {address} may be reachable by others, and token authentication is off",
            "set RAY_AUTH_MODE=token here and on all nodes; see Ray's documentation on token authentication",
        )


def _connect(options: RayOptions) -> Any:
    try:
        import ray
    except ImportError as error:
        raise OptionError("--runner ray needs Ray", "install it: pip install 'shotdex[ray]'") from error
    if not options.cpus >= 1 or (options.workers is not None and options.workers < 1):
        raise OptionError("--workers is a number from 1", "for example: --workers 4")
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "ignore_reinit_error": False}
    if options.address is None:  # not RAY_ADDRESS: what is not named is not reached
        settings |= {"address": "local", "include_dashboard": False, "object_store_memory": OBJECT_STORE}
    else:
        settings |= {"address": options.address}
    try:
        ray.init(**settings)
    except ShotdexError:
        raise
    except Exception as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StoreError(
            f"the Ray cluster at {options.address or 'this machine'} cannot be reached: {why}",
            "check the address, and that the cluster runs the same version of Ray: ray status",
        ) from error
    return ray
