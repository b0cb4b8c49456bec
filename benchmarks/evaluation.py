"""Does shotdex compute what scikit-learn and statsmodels compute? And what does a new prompt set cost?

    python benchmarks/evaluation.py STORE PROMPTS PROMPTS

Classifies the store's images with two prompt sets, then computes every number again from the stored vectors with numpy,
scikit-learn and statsmodels alone, and prints the largest difference of each kind. Last comes the time that a prompt
set takes once its texts are known.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from statistics import median
from typing import Any

import duckdb
import numpy as np

from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.compare import CompareOptions, compare_runs
from shotdex.analysis.prompts.files import read_prompts
from shotdex.analysis.report import Report, ReportOptions, report
from shotdex.models.transformers_encoder import EncoderOptions, load_encoder
from shotdex.store.store import Store
from shotdex.store.types import Combine, EncoderId, PromptSet

REPEATS = 5


def main() -> None:
    place, *names = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(copytree(place, Path(folder) / "store"))
        store = Store.open(root)
        loaded: dict[EncoderId, Any] = {}

        def load(identity: EncoderId) -> Any:
            settings = EncoderOptions("cpu", identity.precision.value, identity.pooling)
            return loaded.setdefault(identity, loaded.get(identity) or load_encoder(identity.name, settings))

        prompts = [read_prompts(name) for name in names]
        for n, one in enumerate(prompts):
            classify(store, Classification(one, f"check {n}"), load)
        reports = [report(store, f"check {n}", ReportOptions(resamples=100)) for n in range(2)]
        print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, commit {_commit()}")
        print(f"{reports[0].coverage}; prompt sets {', '.join(names)}")
        answers = [independent(root, one, load) for one in prompts]
        for n in range(2):
            print(f"\n{names[n]}")
            for what, apart in differences(reports[n], *answers[n]):
                print(f"  {what:44} {apart:.1e}")
        print(f"\n{names[1]} against {names[0]}")
        for what, apart in paired_differences(store, answers):
            print(f"  {what:44} {apart:.1e}")
        speed(store, prompts[0], load, reports[0].coverage.indexed)


def _commit() -> str:
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()


def independent(root: Path, prompts: PromptSet, load: Callable[[EncoderId], Any]) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return truth (N,), scores (N, C) float64 and the encoder, from the catalog by plain DuckDB and numpy."""
    from shotdex.store.encoders import list_encoders

    with Store.open(root).reading() as con:
        encoder = list_encoders(con)[1]
    with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as con:
        rows = con.execute(
            "SELECT i.category, v.joint FROM images i JOIN vectors_1 v USING (image_id) "
            "WHERE i.category IN (SELECT unnest($classes)) ORDER BY image_id",
            {"classes": list(prompts.classes)},
        ).fetchall()
    images = np.array([row[1] for row in rows], dtype=np.float32)
    place = {name: n for n, name in enumerate(prompts.classes)}
    truth = np.array([place[row[0]] for row in rows])
    columns = []
    for texts in prompts.classes.values():
        vectors = load(encoder).encode_texts(list(texts)).astype(np.float64)
        if prompts.combine is Combine.MAX:
            columns.append((images @ vectors.T).max(axis=1))
        else:
            mean = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(axis=0)
            columns.append(images @ (mean / np.linalg.norm(mean)))
    return truth, np.stack(columns, axis=1), encoder


def differences(found: Report, truth: np.ndarray, scores: np.ndarray, encoder: EncoderId) -> list[tuple[str, float]]:
    from sklearn.metrics import (
        accuracy_score,
        balanced_accuracy_score,
        precision_recall_fscore_support,
        top_k_accuracy_score,
    )
    from statsmodels.stats.proportion import proportion_confint

    count = scores.shape[1]
    guess = scores.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, guess, labels=range(count), zero_division=np.nan
    )
    ranks = (np.argsort(-scores, axis=1, kind="stable") == truth[:, None]).argmax(axis=1) + 1
    summary = found.overall.summary
    made = [
        ("accuracy@1", abs(found.overall.accuracy.value - accuracy_score(truth, guess))),
        (
            "top-k, every k",
            _largest(
                [e.value for e in found.top_k[:-1]],
                [top_k_accuracy_score(truth, scores, k=k, labels=range(count)) for k in range(1, count)],
            ),
        ),
        ("recall", _largest([row.recall.value for row in found.classes], recall)),
        ("precision", _largest([row.precision.value for row in found.classes], precision)),
        ("F1", _largest([row.f1.value for row in found.classes], f1)),
        ("mean per-class recall", abs(summary["mean per-class recall"].value - balanced_accuracy_score(truth, guess))),
        ("mean reciprocal rank", abs(summary["mean reciprocal rank"].value - (1 / ranks).mean())),
        (
            "expected calibration error",
            abs(summary["expected calibration error"].value - _calibration(scores, truth, encoder)),
        ),
    ]
    right = [round(row.recall.value * row.recall.n) for row in found.classes]
    bounds = np.array([proportion_confint(r, n, method="wilson") for r, n in zip(right, support, strict=True)])
    ours = np.array([(row.recall.low, row.recall.high) for row in found.classes])
    return [*made, ("Wilson bounds of recall", _largest(ours, bounds))]


def _calibration(scores: np.ndarray, truth: np.ndarray, encoder: EncoderId, bins: int = 15) -> float:
    """A loop over bins, as in the paper."""
    logits = encoder.logit_scale * scores
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    best = (chances / chances.sum(axis=1, keepdims=True)).max(axis=1)
    right = scores.argmax(axis=1) == truth
    total = 0.0
    for n in range(bins):
        inside = (best > n / bins) & (best <= (n + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - best[inside].mean())
    return total


def paired_differences(store: Store, answers: list[tuple[np.ndarray, np.ndarray, Any]]) -> list[tuple[str, float]]:
    from statsmodels.stats.contingency_tables import mcnemar

    found = compare_runs(store, ["check 0", "check 1"], CompareOptions())[0]
    a, b = (scores.argmax(axis=1) == truth for truth, scores, _ in answers)
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    return [
        ("only the first, only the second", _largest([found.only_a, found.only_b], [(a & ~b).sum(), (b & ~a).sum()])),
        ("difference of accuracy", abs(found.difference.value - (b.mean() - a.mean()))),
        ("exact McNemar p", abs(found.p_value - mcnemar(table, exact=True).pvalue)),
    ]


def _largest(first: Any, second: Any) -> float:
    gaps = np.abs(np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64))
    assert (np.isnan(np.asarray(first, dtype=float)) == np.isnan(np.asarray(second, dtype=float))).all()
    return float(np.nanmax(gaps))


def speed(store: Store, prompts: PromptSet, load: Callable[[EncoderId], Any], images: int) -> None:
    taken = []
    for n in range(REPEATS):
        started = time.perf_counter()
        classify(store, Classification(prompts, f"timed {n}"), load)
        taken.append(time.perf_counter() - started)
    seconds = median(taken)
    print(
        f"\n{images:,} images x {len(prompts.classes)} classes, texts known: median {seconds:.2f} s of {REPEATS} runs"
    )
    print(f"  that is {images / seconds:,.0f} images a second")


if __name__ == "__main__":
    main()
