"""The last sections of a document: prompts, how to make the numbers again, how each is made, how to cite them."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Sequence

from shotdex.analysis.metrics import registry
from shotdex.store.types import Combine, PromptSet

from .gather import About, Material
from .parts import Block, Bullets, Listing, Paragraph, Section, Table
from .words import count, interval, number

LISTED = 2_000
"""Prompts up to which they are listed; a longer list is in the store, under the digest that is printed."""


MAIL_WIDTH = 76
"""Characters of a line of the plain text."""


def prompts(found: Material) -> Section:
    """Return every prompt of every run, as the prompt file that makes the same set."""
    blocks: list[Block] = []
    for about in found.every:
        own = about.prompts
        texts = sum(map(len, own.classes.values()))
        mean = "its cosine with the mean of its prompts' vectors"
        how = {Combine.MEAN: mean, Combine.MAX: "that of its best prompt"}[own.combine]
        blocks.append(
            Paragraph(
                f"The run “{about.run.name}” uses the prompt set “{own.name}”: "
                f"{count(texts, 'prompt')} for {len(own.classes):,} classes; the score of a class is {how}. "
                f"SHA-256 {own.sha256}."
            )
        )
        if texts <= LISTED:
            blocks.append(Listing(f"{_file(about)}", prompt_file(own), "toml"))
        else:
            command = f"shotdex prompts show {shlex.quote(own.sha256[:12])}"
            blocks.append(Listing(f"All {texts:,} prompts, from the store", command, "sh"))
    return Section("prompts", "Prompts", tuple(blocks))


def _file(about: About) -> str:
    return f"prompts-{about.run.run_id}.toml"


def prompt_file(own: PromptSet) -> str:
    """Return the TOML file that spells a prompt set out."""

    # A TOML basic string is a JSON string, but for DEL, which has to be escaped.
    def quoted(text: str) -> str:
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

    lines = [f"name = {quoted(own.name)}", f"combine = {quoted(own.combine.value)}", "", "[classes]"]
    lines += [f"{quoted(name)} = [{', '.join(map(quoted, texts))}]" for name, texts in own.classes.items()]
    if any(own.aliases.values()):
        lines += ["", "[aliases]"]
        lines += [f"{quoted(name)} = [{', '.join(map(quoted, labels))}]" for name, labels in own.aliases.items()]
    return "\n".join(lines)


def again(found: Material) -> Section:
    """Return what makes the same numbers again: commands, identities, versions and seeds."""
    blocks: list[Block] = []
    for about in found.every:
        run, encoder = about.run, about.encoder
        lines = [f"shotdex rerun {shlex.quote(run.name)}   # the same from the record, compared with it"]
        where = f" --where {shlex.quote(run.where)}" if run.where else ""
        partial = " --partial" if about.report.coverage.categories else ""
        lines.append(
            f"shotdex classify --prompts {_file(about)} -k {run.k}{where}{partial} "
            f"--model {shlex.quote(encoder.name)} --name {shlex.quote(run.name + '-again')}"
        )
        if run.command:
            lines.insert(0, f"{run.command}   # as it was typed")
        blocks.append(Listing(f"Run “{run.name}”", "\n".join(lines), "sh"))
        facts = {
            "made (UTC)": f"{run.started_at:%Y-%m-%d %H:%M:%S}",
            "model": f"{encoder.name}, revision {encoder.revision}, {encoder.precision}",
            "weights (SHA-256)": encoder.weights_sha256,
            "preprocessing (SHA-256)": encoder.preprocessing_sha256,
            "prompt set (SHA-256)": about.prompts.sha256,
            "images (SHA-256)": run.data_sha256 or "not recorded",
            "images and labels (SHA-256)": run.labels_sha256 or "not recorded",
            "seed for the bootstrap": str(run.seed if found.options.seed is None else found.options.seed),
            "versions": ", ".join(f"{name} {version}" for name, version in run.versions.items()) or "not recorded",
        }
        blocks.append(Table(f"The record of the run “{run.name}”.", ("what", "value"), tuple(facts.items())))
    return Section("again", "Make it again", tuple(blocks))


def methods(found: Material) -> Section:
    """Return how each number is made, with its source."""
    combine = found.main.prompts.combine
    scored = {
        Combine.MEAN: "the mean of its prompts' unit vectors, made unit again",
        Combine.MAX: "its prompts, of which the best counts",
    }[combine]
    made = next(iter(found.main.report.overall.summary.values())).method
    items = [
        f"Prediction: the class with the highest cosine between the image's vector and {scored} "
        "(zero-shot classification, Radford et al. 2021).",
        "Accuracy@1, top-k, recall and precision: shares of images, with 95 % intervals by Wilson's score method "
        "(Wilson 1927).",
        *(f"{metric.name[:1].upper()}{metric.name[1:]}: {metric.documentation}." for metric in registry.METRICS),
        f"Intervals of these metrics and of F1: {made}.",
    ]
    if found.compared is not None:
        items.append(
            "Two runs on the same images: difference with the paired bootstrap, stratified by class; p by the exact "
            "McNemar test (McNemar 1947), adjusted for the number of comparisons by Holm's method (Holm 1979)."
        )
    if found.baselines:
        items.append(
            "A run against a baseline: the difference of two independent shares (Newcombe 1998, method 10); better or "
            "worse only where its 95 % interval leaves out 0."
        )
    return Section("formulas", "How each number is made", (Bullets(tuple(items)),))


def citation(found: Material) -> str:
    """Return a sentence that names everything a number depends on."""
    about = found.main
    version = about.run.versions.get("shotdex", "")
    images = f", images {about.run.data_sha256[:12]}" if about.run.data_sha256 else ""
    return (
        f"Zero-shot accuracy of {about.encoder.name} (weights {about.encoder.weights_sha256[:12]}) on "
        f"{count(about.report.overall.accuracy.n, 'image')} in {len(about.prompts.classes):,} classes, prompt set "
        f"{about.prompts.sha256[:12]}{images}; run “{about.run.name}” of {about.run.started_at:%Y-%m-%d}, "
        f"computed with shotdex {version}".rstrip()
        + "."
    )


def cite(found: Material) -> Section:
    """Return how to cite the numbers."""
    version = found.main.run.versions.get("shotdex", "")
    entry = (
        f"@software{{shotdex,\n  title = {{shotdex: index images once, search and evaluate}},\n"
        f"  author = {{The shotdex authors}},\n  version = {{{version}}},\n"
        f"  year = {{{found.main.run.started_at:%Y}}}\n}}"
    )
    named = tuple(
        f"Baseline {one.baseline.name}: {one.baseline.source}" for one in found.baselines if one.baseline.source
    )
    blocks: list[Block] = [Paragraph(citation(found)), Listing("BibTeX", entry, "bibtex")]
    return Section("cite", "How to cite", (*blocks, *((Bullets(named),) if named else ())))


def summary(found: Material, lead: Sequence[str]) -> str:
    """Return the whole in some lines of plain text, to be copied into a mail: `lead`, coverage, groups, citation."""
    said = list(lead)
    for about in found.every:
        said += [f"{about.run.name}: {about.report.coverage}", *about.notes]
    lines = [textwrap.fill(text, MAIL_WIDTH, break_on_hyphens=False, break_long_words=False) for text in said]
    if found.main.report.groups:
        lines.append(f"Accuracy@1 of {found.main.run.name} by {', '.join(found.main.report.by)}:")
    lines += [
        f"  {row.name}: {number(row.accuracy.value)} ({interval(row.accuracy)}, n = {row.accuracy.n:,})"
        for row in found.main.report.groups[:20]
    ]
    return "\n".join([*lines, textwrap.fill(citation(found), MAIL_WIDTH, break_long_words=False)])
