"""Published accuracies: which there are, and whether a model reproduces one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from shotdex.store.errors import EmptyStore, OptionError, ShotdexError
from shotdex.store.location import user_path
from shotdex.store.types import Estimate, IndexReport

from .keywords import filled, takes
from .result_keywords import ReproduceKeywords
from .results import Findings
from .runs import Run
from .tabular import Records

if TYPE_CHECKING:
    from shotdex.analysis.reproduction import Benchmark, Entry, PublishedModel, PublishedTable, Reproduced

    from .session import Session


@dataclass(frozen=True, slots=True)
class PublishedAccuracy:
    """A published accuracy, in [0, 1], and how much two published evaluations of it differ."""

    benchmark: str
    title: str
    model: str
    condition: str
    prompts: str
    accuracy: float
    tolerance: float
    images: int
    download: str
    source: str


class Reproduction(Records["Reproduced"]):
    """Published accuracies next to ours, a row for each condition and prompt set; see `reproduce`.

    `published` is the model that the numbers are of, `model` the one that was evaluated; `causes` say why numbers may
    not be reproduced, what is known to differ first. `benchmark`, `notes`, `runs` and `store` say how it was made.
    """

    def __init__(self, rows: Sequence[Reproduced], benchmark: Benchmark, published: PublishedModel, model: str) -> None:
        from shotdex.analysis.reproduction import Reproduced

        super().__init__(rows, Reproduced)
        self.benchmark = benchmark
        self.published = published
        self.model = model
        self.causes: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.runs: tuple[Run, ...] = ()
        self.store: Path | None = None

    @property
    def verdict(self) -> str:
        """Return "reproduced" where all numbers are, else "not reproduced"."""
        return "reproduced" if all(row.verdict == "reproduced" for row in self) else "not reproduced"

    def _headline(self) -> str:
        first = f"{self.benchmark.title}, {self.model} against {self.published.name}: {self.verdict}"
        return "\n".join([first, *(f"  likely cause: {cause}" for cause in self.causes)])


def benchmarks(table: str | os.PathLike[str] | None = None) -> Findings:
    """Return the published accuracies that `reproduce` knows, a row for each benchmark, prompt set and model.

    Args:
        table: a TOML file in the format of the shipped one (docs/reproduce.md), to use instead of it.

    Raises:
        OptionError: the file cannot be read.

    >>> rows = shotdex.benchmarks()
    >>> [(row.model, row.accuracy) for row in rows if row.benchmark == "cifar10"][0]
    ('ViT-B/32 openai', 0.8982)
    """
    found = _table(table)
    rows = [
        PublishedAccuracy(
            name, one.title, model, entry.condition or "all", entry.prompts.stem, value, entry.tolerance,
            entry.images, one.download or "", entry.source,
        )
        for name, one in found.benchmarks.items()
        for entry in one.entries
        for model, value in entry.values.items()
    ]  # fmt: skip
    return Findings("published accuracies", rows, found, PublishedAccuracy)


@takes(ReproduceKeywords)
def reproduce(
    name: str, source: str | os.PathLike[str] | None = None, **options: Unpack[ReproduceKeywords]
) -> Reproduction:
    """Evaluate a published benchmark with its published prompts, and compare the accuracy with the published one.

    The images are indexed once, in a separate store; another call with the same store encodes nothing again.

    Args:
        name: one of `benchmarks()`, such as "cifar10" or "toddlers".
        source: a local copy: a folder, archive, manifest or data set. None downloads the data set, which may need an
            extra.
        options: the keywords of `ReproduceKeywords`.

    Returns:
        A row for each published number: accuracies in [0, 1], and whether it is reproduced, that is, with the same
        number of images and a difference within the tolerance.

    Raises:
        OptionError: there is no such benchmark or published model, or a local copy is needed.
        UnknownClass: labels of the images are not classes of the benchmark.
        SourceError, ModelUnavailable, StoreLocked.

    >>> made = shotdex.reproduce("toddlers", demo.EVALUATION, model="demo", store=store.path)
    >>> made.verdict, len(made)
    ('not reproduced', 5)
    """
    from .session import open as open_store

    given = filled(reproduce, options)
    published, model, store = _table(given["table"]), given["model"], given["store"]
    benchmark = published.benchmark(name)
    named = model if isinstance(model, str) else str(getattr(model, "id", ""))
    target = published.model(named, given["against"], benchmark)
    place, layout = _place(benchmark, source), given["layout"]
    layout, categories = (layout, None) if layout is not None else _layout(benchmark, Path(place))
    folder = user_path(store) if store is not None else Path.cwd() / f"{benchmark.name}.shotdex"
    with open_store(folder, create=True, device=given["device"]) as session:
        report = session.index(
            place,
            model=model,
            layout=layout,
            categories=categories,
            precision=given["precision"],
            batch_size=given["batch_size"],
            progress=given["progress"],
            note=given["note"],
        )
        if report.interrupted:
            raise ShotdexError("interrupted; everything done so far is kept", "run the same command again to continue")
        return _evaluate(session, report, benchmark, target, tuple(given["templates"]), given["command"])


def _table(table: str | os.PathLike[str] | None) -> PublishedTable:
    from shotdex.analysis.reproduction import read_table

    return read_table() if table is None else read_table(user_path(table))


def _place(benchmark: Benchmark, source: str | os.PathLike[str] | None) -> str:
    """Return what to index: of a folder of IDX files, or with a folder for each split, the one split alone."""
    if source is None:
        if benchmark.download is None:
            needed = benchmark.note.partition(". ")[0].rstrip(".").removeprefix("A local copy is needed: ")
            raise OptionError(
                f"{benchmark.title} cannot be downloaded here",
                f"shotdex reproduce {benchmark.name} FOLDER" + (f"   ({needed})" if needed else ""),
            )
        return benchmark.download
    folder = user_path(source)
    if benchmark.layout is None and folder.is_dir():
        if "test" in benchmark.split:
            found = sorted(folder.glob("**/t10k-images*ubyte*"), key=lambda path: (path.suffix == ".gz", path))
            if found:
                return str(found[0])
        for split in benchmark.split:
            if (folder / split).is_dir():
                return str(folder / split)
    return os.fspath(source)


def _layout(benchmark: Benchmark, place: Path) -> tuple[str | None, list[str] | None]:
    """Return the benchmark's layout with its categories, or that of a local copy in which these are folders, too."""
    from shotdex.analysis.prompts.files import read_prompt_file

    if benchmark.layout is None:
        return None, None
    categories = list(read_prompt_file(benchmark.entries[0].prompts).classes)
    known = {name.casefold() for name in categories}
    if any(path.name.casefold() in known for path in place.glob("*/")):
        return "{category}/{condition}/*", categories
    if any(path.name.casefold() in known for path in place.glob("*/*/")):
        return "{condition}/{category}/*", categories
    return benchmark.layout, categories


def _evaluate(
    session: Session,
    report: IndexReport,
    benchmark: Benchmark,
    target: PublishedModel,
    templates: tuple[str, ...],
    command: str,
) -> Reproduction:
    from shotdex.analysis.reproduction import Evaluated, likely_causes, published_prompts
    from shotdex.models.own_encoder import PYTHON
    from shotdex.store.encoders import number_of

    assert report.encoder is not None
    with session.store.reading() as con:
        encoder = str(number_of(con, report.encoder))
    where, labels = _images(session, report.source, benchmark)
    entries = [entry for entry in benchmark.entries if target.name in entry.values]
    runs: dict[Path, Run] = {}
    for file in dict.fromkeys(entry.prompts for entry in entries):
        prompts = published_prompts(benchmark, file, labels, templates)
        name = f"reproduce-{benchmark.name}-{file.stem}-{report.encoder.weights_sha256[:8]}-{report.encoder.precision}"
        if templates:
            name += f"-{prompts.sha256[:8]}"
        runs[file] = session.classify(
            prompts=prompts, where=where, name=name, model=encoder, replace=True, command=command
        )
    rows = [_row(entry, entry.values[target.name], runs[entry.prompts]) for entry in entries]
    made = Reproduction(rows, benchmark, target, report.encoder.name)
    failed = int(session.sql("SELECT count(*) FROM failures WHERE source = $source", source=report.source)[0][0])
    known = (None, None) if report.encoder.revision == PYTHON else _input(made.model)
    what = Evaluated(made.model, *known, str(report.encoder.precision), failed, templates)
    made.causes, made.runs, made.store = likely_causes(rows, target, what), tuple(runs.values()), session.path
    made.notes = (benchmark.note,) if benchmark.note else ()
    return made


def _images(session: Session, source: str, benchmark: Benchmark) -> tuple[str, list[str]]:
    """Return the condition for the images that are evaluated, and the labels that they have."""
    where = f"source = '{source.replace(chr(39), chr(39) * 2)}'"
    found = session.sql("SELECT DISTINCT split FROM images WHERE source = $source", source=source)
    splits = [row[0] for row in found if row[0] is not None]
    chosen = [split for split in splits if split.casefold() in benchmark.split]
    if benchmark.split and splits:
        if not chosen:
            raise OptionError(
                f"{benchmark.title} is evaluated on its split {benchmark.split[0]!r}; "
                f"the images have {', '.join(map(repr, sorted(splits)))}",
                "pass the images of that split",
            )
        listed = ", ".join(f"'{split.replace(chr(39), chr(39) * 2)}'" for split in sorted(chosen))
        where += f" AND split IN ({listed})"
    rows = session.sql(f"SELECT DISTINCT category FROM images WHERE {where} AND category IS NOT NULL ORDER BY 1")
    if not len(rows):
        raise EmptyStore(
            "no image has a label to compare predictions with", "describe the folders: --layout '{category}/*'"
        )
    return where, [row[0] for row in rows]


def _row(entry: Entry, published: float, run: Run) -> Reproduced:
    from shotdex.analysis.reproduction import Reproduced
    from shotdex.analysis.stats.proportions import wilson

    if entry.condition is None:
        ours = run.accuracy()
    else:
        found = run.accuracy(by="condition")
        groups = {name.casefold(): found[name] for name in found.groups}
        ours = groups.get(entry.condition.casefold(), wilson(0, 0))
    shift = replace(ours, value=ours.value - published, low=ours.low - published, high=ours.high - published)
    nothing = Estimate(ours.value, ours.value, ours.value, 0, ours.method)
    return Reproduced(
        entry.condition or "all", run.prompts.name, ours, published, nothing if isnan(ours.value) else shift,
        entry.tolerance, entry.images, entry.source, run.name,
    )  # fmt: skip


def _input(model: str) -> tuple[str | None, int | None]:
    """Return a model's activation and the edge of its images in pixels, None where they are not known."""
    from shotdex.models.architecture.describe import describe
    from shotdex.models.architecture.types import ImageInput

    try:
        vision = describe(model).vision
    except ShotdexError:  # of open_clip, say, which switches QuickGELU on where the weights want it
        return None, None
    return vision.activation, vision.input.size if isinstance(vision.input, ImageInput) else None
