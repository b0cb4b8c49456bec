"""Published accuracies: the table that ships, whether a run reproduces a number of it, and why it may not.

A number counts as reproduced where the same images were evaluated and the accuracy differs by no more than the
tolerance, which is how much two published evaluations of the same model and data set differ. The 95 % interval of the
run says how far other images of the same kind would be; the same images give the same number.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from shotdex import demo
from shotdex.store.errors import OptionError, UnknownClass
from shotdex.store.types import Estimate, PromptSet

from .prompts.build import make_prompt_set, plain_name
from .prompts.files import read_prompt_file


class Verdict(StrEnum):
    """Whether a published number came out again."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"


@dataclass(frozen=True, slots=True)
class Entry:
    """A published accuracy, in [0, 1], for each model: with which prompts, on which images, and how sure it is.

    `condition` is None over all images; `images` is how many there are, 0 where it is not known. `tolerance` is the
    difference, in [0, 1], up to which a number counts as the same.
    """

    prompts: Path
    tolerance: float
    source: str
    values: Mapping[str, float]
    condition: str | None
    images: int


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A data set with its published accuracies.

    `download` is the source that fetches it, or None where a local copy is needed; `split` lists the names of the
    split that is evaluated, none for all images. `labels` maps labels of the data set to classes, where the spelling
    differs.
    """

    name: str
    title: str
    download: str | None
    split: tuple[str, ...]
    layout: str | None
    labels: Mapping[str, str]
    note: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A model of the table: names that load it, the activation its weights need, the edge of its images in pixels."""

    name: str
    names: tuple[str, ...] = ()
    activation: str | None = None
    pixels: int | None = None


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """The benchmarks and models of a table, by name."""

    benchmarks: Mapping[str, Benchmark]
    models: Mapping[str, PublishedModel]

    def benchmark(self, name: str) -> Benchmark:
        """Return a benchmark by its name, whatever its case and punctuation.

        Raises:
            OptionError: there is no such benchmark.
        """
        known = {plain_name(one): one for one in self.benchmarks}
        if plain_name(name) not in known:
            near = difflib.get_close_matches(plain_name(name), known, n=1)
            hint = f"did you mean {known[near[0]]}?" if near else f"choose one: {', '.join(self.benchmarks)}"
            raise OptionError(f"there is no published benchmark {name!r}", hint)
        return self.benchmarks[known[plain_name(name)]]

    def model(self, loaded: str, against: str | None, benchmark: Benchmark) -> PublishedModel:
        """Return the published model to compare with: the one chosen, else the one loaded, else the benchmark's first.

        Raises:
            OptionError: the benchmark has no number for the chosen model.
        """
        published = list(dict.fromkeys(name for entry in benchmark.entries for name in entry.values))
        if against is not None:
            found = next((name for name in published if plain_name(name) == plain_name(against)), None)
            if found is None:
                raise OptionError(
                    f"no accuracy of {against!r} on {benchmark.title} is known", f"choose one: {', '.join(published)}"
                )
            return self.models.get(found) or PublishedModel(found)
        models = [self.models.get(name) or PublishedModel(name) for name in published]
        return next((model for model in models if is_copy(model, loaded)), models[0])


def is_copy(model: PublishedModel, loaded: str) -> bool:
    """Tell whether a model is loaded under a name of a published one, at whichever revision."""
    plain, names = loaded.partition("@")[0].casefold(), (model.name, *model.names)
    return any(plain == name.casefold() for name in names)


def read_table(path: Path = demo.BENCHMARKS) -> PublishedTable:
    """Return the table in a TOML file of the form of the shipped one.

    Raises:
        OptionError: it cannot be read, or lacks something.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        sources = content.get("sources", {})
        benchmarks = {
            name: _benchmark(name, values, path.parent, sources) for name, values in content["benchmarks"].items()
        }
        models = {
            name: PublishedModel(name, tuple(values.get("names", ())), values.get("activation"), values.get("pixels"))
            for name, values in content.get("models", {}).items()
        }
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"the table {path} cannot be read: {error}", "pass a TOML file") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OptionError(
            f"the table {path} is not of the right form: {error!r}", f"compare it with {demo.BENCHMARKS}"
        ) from error
    return PublishedTable(benchmarks, models)


def _benchmark(name: str, values: Mapping[str, Any], folder: Path, sources: Mapping[str, str]) -> Benchmark:
    images = int(values.get("images", 0))
    entries = tuple(
        Entry(
            folder / one["prompts"],
            float(one["tolerance"]),
            sources.get(one["source"], one["source"]),
            {model: float(value) for model, value in one["values"].items()},
            one.get("condition"),
            int(one.get("images", 0 if one.get("condition") else images)),
        )
        for one in values["entries"]
    )
    if not entries or not all(0 <= value <= 1 for entry in entries for value in entry.values.values()):
        raise ValueError(f"{name} has no entries, or an accuracy outside [0, 1]")
    return Benchmark(
        name,
        values.get("title", name),
        values.get("download"),
        tuple(values.get("split", ())),
        values.get("layout"),
        values.get("labels", {}),
        values.get("note", ""),
        entries,
    )


def published_prompts(
    benchmark: Benchmark, file: Path, labels: Sequence[str], templates: Sequence[str] = ()
) -> PromptSet:
    """Return the published prompts, with the labels that the images have as aliases of their classes.

    Labels are matched by name without case, spaces and punctuation, and by the benchmark's own list; numbers, and the
    WordNet ids of ImageNet if all are there, by the order of the classes. `templates` stand in for the published ones.

    Raises:
        UnknownClass: labels that are of no class.
        OptionError: the prompt file cannot be read, or a template has no `{}`.
    """
    prompts = read_prompt_file(file)
    if templates:
        one, *_ = prompts.templates or ("{}",)
        before, after = one.split("{}")
        names = {
            category: (texts[0].removeprefix(before).removesuffix(after),)
            for category, texts in prompts.classes.items()
        }
        prompts = make_prompt_set(" | ".join(templates), names, templates, prompts.combine)
    found = _classes_of(benchmark, list(prompts.classes), labels)
    unknown = [label for label in labels if label not in found]
    if unknown:
        listed = ", ".join(map(repr, unknown[:5])) + (f" and {len(unknown) - 5} more" if unknown[5:] else "")
        raise UnknownClass(
            f"labels that are not classes of {benchmark.title}: {listed}",
            f"its classes are {', '.join(list(prompts.classes)[:5])}, ...; is this its data set? "
            "What folders mean can be said with --layout",
        )
    aliases: dict[str, list[str]] = {}
    for label, category in found.items():
        if label != category:
            aliases.setdefault(category, []).append(label)
    made = make_prompt_set(prompts.name, prompts.classes, (), prompts.combine, prompts.source, aliases)
    return replace(made, templates=prompts.templates)


def _classes_of(benchmark: Benchmark, classes: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    by_name = {plain_name(category): category for category in classes}
    by_name |= {plain_name(label): category for label, category in benchmark.labels.items() if category in classes}
    found = {label: by_name[plain_name(label)] for label in labels if plain_name(label) in by_name}
    if len(found) < len(labels):
        if all(label.isascii() and label.isdigit() and int(label) < len(classes) for label in labels):
            return {label: classes[int(label)] for label in labels}
        if len(labels) == len(classes) and all(re.fullmatch(r"n\d{8}", label) for label in labels):
            return dict(zip(sorted(labels), classes, strict=True))
    return found


@dataclass(frozen=True, slots=True)
class Reproduced:
    """A published accuracy next to ours, both in [0, 1].

    `group` is the condition, or "all"; `difference` is ours minus the published one, with the interval of ours;
    `published_images` is 0 where their number is not known.
    """

    group: str
    prompts: str
    ours: Estimate
    published: float
    difference: Estimate
    tolerance: float
    published_images: int
    source: str
    run: str
    verdict: Verdict = field(init=False)

    def __post_init__(self) -> None:
        same = not self.published_images or self.ours.n == self.published_images
        near = abs(self.difference.value) <= self.tolerance + 1e-9  # a float's rounding
        verdict = Verdict.REPRODUCED if same and near else Verdict.NOT_REPRODUCED
        object.__setattr__(self, "verdict", verdict)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What was evaluated, for the causes: `model` is its name.

    `activation` and the edge of its images in `pixels` are None where its configuration is not known, `failed` counts
    images that could not be indexed, `templates` stood in for the published ones.
    """

    model: str
    activation: str | None
    pixels: int | None
    precision: str
    failed: int
    templates: tuple[str, ...]


def likely_causes(rows: Sequence[Reproduced], model: PublishedModel, what: Evaluated) -> tuple[str, ...]:
    """Return why numbers may not be reproduced, what is known to differ first; none where all are reproduced."""
    failing = [row for row in rows if row.verdict is Verdict.NOT_REPRODUCED]
    if not failing:
        return ()
    known = [
        f"images: {row.ours.n:,} were evaluated{'' if row.group == 'all' else f' in {row.group}'}, "
        f"the published number is over {row.published_images:,}"
        for row in failing
        if row.published_images and row.ours.n != row.published_images
    ]
    if what.failed:
        known.append(f"images: {what.failed:,} could not be indexed, see: shotdex status")
    if not is_copy(model, what.model):
        known.append(f"model: {what.model} was evaluated, the published number is that of {model.name}")
    if model.activation and what.activation and what.activation != model.activation:
        known.append(f"QuickGELU: the model computes {what.activation}, its published weights need {model.activation}")
    if model.pixels and what.pixels and what.pixels != model.pixels:
        known.append(f"preprocessing: images of {what.pixels} x {what.pixels} pixels, published with {model.pixels}")
    if what.templates:
        known.append("prompts: the templates are not the published ones")
    if what.precision != "float32":
        known.append(f"precision: computed in {what.precision}; published numbers are mostly float32")
    if known:
        return tuple(dict.fromkeys(known))
    return (
        "QuickGELU: OpenAI's weights need it, and a converted copy may have lost it; see: shotdex model NAME",
        "prompts: the published evaluation may have used other templates or class names",
        "preprocessing: images resized with bicubic interpolation to the model's size, then cropped; files that were "
        "saved again as JPEG differ",
    )
