"""Indexing with Ray: images are encoded in parts by workers of a cluster, and committed here as their shards arrive."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shotdex.store.errors import OptionError, ShotdexError
from shotdex.store.store import Store
from shotdex.store.types import IndexReport

from .progress import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shotdex.indexer.encode_parts import Recipe
    from shotdex.indexer.inventory import Inventory
    from shotdex.indexer.plan import Plan
    from shotdex.indexer.ray_crew import Job as RayJob
    from shotdex.indexer.run import IndexOptions
    from shotdex.indexer.shards import Shard
    from shotdex.models.late_encoder import IndexEncoder

    from .indexing import Announce, Job


@dataclass(frozen=True, slots=True)
class Runner:
    """Who computes: `name` is local or ray, the rest are the options for Ray; see `Session.index`."""

    name: str = "local"
    address: str | None = None
    workers: int | None = None
    gpus: float | None = None
    cpus: int | None = None
    out: str | None = None
    part_rows: int | None = None
    device: str = "auto"


def check_runner(job: Job) -> None:
    """Check who is to compute.

    Raises:
        OptionError: options do not go together, or something cannot be sent to another machine.
    """
    from shotdex.indexer.ray_crew import check_address

    runner = job.runner
    if runner.name not in ("local", "ray"):
        raise OptionError(f"--runner {runner.name} is neither local nor ray", "leave it out, or pass --runner ray")
    if runner.name == "local":
        if any(
            one is not None
            for one in (runner.address, runner.workers, runner.gpus, runner.cpus, runner.out, runner.part_rows)
        ):
            raise OptionError(
                "--ray-address, --workers, --gpus-per-worker, --cpus-per-worker, --part-rows and --out are for workers",
                "pass --runner ray",
            )
        return
    if job.own_model:
        raise OptionError(
            "an encoder object cannot be sent to the workers", "pass the name of a model, or index with --runner local"
        )
    if job.source == "-":
        raise OptionError("standard input cannot be read by the workers", "write the list to a file, and index that")
    _check_numbers(runner)
    check_address(runner.address)
    if importlib.util.find_spec("ray") is None:
        raise OptionError("--runner ray needs Ray", "install it: pip install 'shotdex[ray]'")


def _check_numbers(runner: Runner) -> None:
    if runner.workers is not None and runner.workers < 1:
        raise OptionError(f"--workers {runner.workers} is not a number from 1", "for example: --workers 4")
    if runner.gpus is not None and not 0 <= runner.gpus <= 64:
        raise OptionError(f"--gpus-per-worker {runner.gpus} is not a number from 0 to 64", "for example: 1, or 0.5")
    if runner.cpus is not None and not 1 <= runner.cpus <= 1024:
        raise OptionError(f"--cpus-per-worker {runner.cpus} is not a number from 1 to 1024", "for example: 8")
    if runner.part_rows is not None and not 1 <= runner.part_rows <= 1 << 18:
        raise OptionError(f"{runner.part_rows:,} images cannot be in a shard", "pass --part-rows from 1 to 262,144")


def index_with_ray(
    store: Store, job: Job, scanned: tuple[Inventory, IndexEncoder, IndexOptions], announce: Announce
) -> IndexReport:
    """Index what a scan found with the workers of a Ray cluster.

    Raises:
        SourceError: parts were given up, as all workers that took them died; everything else is indexed.
        StoreError: the cluster cannot be reached, or no worker can start.
    """
    from shotdex.indexer.encode_parts import recipe_of
    from shotdex.indexer.failures import decoder_version
    from shotdex.indexer.layout import choose_labelling
    from shotdex.indexer.place import Place
    from shotdex.indexer.ray_crew import RayCrew, RayOptions
    from shotdex.indexer.shard_commit import ShardIndexing
    from shotdex.indexer.spread import Spread, part_rows, probe
    from shotdex.store.source_records import source_record

    inventory, choice, options = scanned
    runner, encoder = job.runner, choice.encoder()
    made = Store.create(store.root)
    place = Place(runner.out or str(store.root.absolute() / "shards"))
    with made.reading() as con:
        before = source_record(con, inventory.source.root)
    labelling = choose_labelling(options.layout, options.columns, before, inventory, options.reading)
    given_up: list[int] = []
    with shown(job.progress, "indexing") as bar, probe(place, str(store.root.absolute())) as mark:

        def shards(plan: Plan) -> Iterator[Shard]:
            bar.start(plan.work)
            if not plan.work:
                return
            recipe = recipe_of(inventory, labelling, encoder, options)
            rows = runner.part_rows or part_rows(inventory.candidates)
            spread = Spread(plan, recipe, place, rows, given_up)
            what = _ray_job(job, recipe, place.url, mark)
            with RayCrew(
                what, RayOptions(runner.address, runner.workers, runner.gpus, runner.cpus or 1), spread.payload
            ) as crew:
                yield from spread.shards(crew, runner.workers or crew.room(), job.note)

        indexing = ShardIndexing(made, encoder, options, bar, announce)
        report = indexing.commit_all(inventory, labelling, decoder_version(options.limits), shards)
    if given_up and not report.interrupted:
        raise _given_up(given_up, report)
    return report


def _ray_job(job: Job, recipe: Recipe, place: str, mark: str) -> RayJob:
    from shotdex.indexer.ray_crew import Job as RayJob

    encoder = recipe.encoder.id
    return RayJob(
        model=encoder.name,
        precision=encoder.precision.value,
        device=job.runner.device,
        batch=recipe.options.batch_size or 1,
        key=encoder.key(),
        root=recipe.origin.root,
        columns=dict(recipe.origin.columns),
        reading=dict(recipe.origin.reading),
        place=place,
        probe=mark,
        limits=recipe.options.limits,
        web=(job.web.seconds, job.web.files),
        cpus=job.runner.cpus or 1,
    )


def _given_up(parts: list[int], report: IndexReport) -> ShotdexError:
    from shotdex.store.errors import SourceError

    numbers = sorted(set(parts))
    named = ", ".join(map(str, numbers))
    return SourceError(
        f"images of part{'' if len(numbers) == 1 else 's'} {named} were given up because every worker that processed "
        f"them died",
        "the others are indexed; see which: shotdex sql \"SELECT path FROM failures WHERE detail LIKE '%died%'\"",
        report,
    )
