"""`shotdex runs`: the list and its chance, a new name, and what is left of a run that is removed or replaced."""

from __future__ import annotations

from collections.abc import Callable

from shotdex.store.store import Store
from tests.conftest import Ran
from tests.support.evaluated import rows

from .checks import failed, strict_json

Shotdex = Callable[..., Ran]
TABLES = ("predictions", "truths", "runs")


def of_run(store: Store, number: int) -> list[int]:
    return [rows(store, f"SELECT count(*) FROM {table} WHERE run_id = {number}")[0][0] for table in TABLES]


def test_the_list_says_model_classes_and_chance(shotdex: Shotdex, evaluated: Store) -> None:
    at = ("--store", evaluated.root)
    head, _, *lines = shotdex("runs", *at).out.splitlines()
    assert head.split()[:7] == ["run", "name", "model", "prompts", "where", "classes", "chance"]
    classes = dict(rows(evaluated, "SELECT r.name, count(DISTINCT category) FROM runs r JOIN prompts USING "
                        "(prompt_set_id) GROUP BY ALL"))  # fmt: skip
    assert {line.split()[1]: line.split()[2:6:1][-2:] for line in lines} == {
        name: [str(n), f"{1 / n:.3f}"] for name, n in classes.items()
    }
    assert {line.split()[2] for line in lines} == {"fake"}
    for one in strict_json(shotdex("runs", *at, "--json").out):
        n = classes[one["run"]["name"]]
        assert (one["model"], one["classes"], one["chance"]) == ("fake", n, 1 / n)


def test_rename(shotdex: Shotdex, own: Store) -> None:
    at = ("--store", own.root)
    before = rows(own, "FROM predictions ORDER BY ALL")
    assert shotdex("runs", "rename", "names", "bare", *at).out == "renamed run names: it is called bare now\n"
    assert rows(own, "SELECT run_id, name FROM runs ORDER BY 1") == [(1, "bare"), (2, "words"), (3, "third")]
    assert rows(own, "FROM predictions ORDER BY ALL") == before
    failed(shotdex("runs", "rename", "bare", "words", *at), 2, "already a run named 'words'")
    failed(shotdex("runs", "rename", "names", "x", *at), 2, "no run 'names'", "bare")
    failed(shotdex("runs", "rename", "bare", " ", *at), 2, "empty")
    assert shotdex("runs", "rename", "1", "bare", *at).status == 0, "its own name is not taken by another"


def test_remove(shotdex: Shotdex, own: Store) -> None:
    at = ("--store", own.root)
    others = [
        of_run(own, 2),
        rows(own, "SELECT count(*) FROM stored_images"),
        rows(own, "SELECT count(*) FROM prompts"),
    ]
    failed(shotdex("runs", "remove", "names", "gone", *at), 2, "no run 'gone'")
    assert of_run(own, 1)[2] == 1, "nothing is removed when one of them is not there"
    assert shotdex("runs", "remove", "names", "third", *at).out.splitlines() == [
        "removed run names: 75 images, 4 predictions for each",
        "removed run third: 75 images, 4 predictions for each",
    ]
    assert (of_run(own, 1), of_run(own, 3)) == ([0, 0, 0], [0, 0, 0])
    now = [of_run(own, 2), rows(own, "SELECT count(*) FROM stored_images"), rows(own, "SELECT count(*) FROM prompts")]
    assert now == others
    assert shotdex("verify", *at).status == 0


def test_replace(shotdex: Shotdex, own: Store) -> None:
    at = ("--store", own.root)
    number = rows(own, "SELECT max(run_id) FROM runs")[0][0]
    again = ("classify", "--classes", "red,green,blue,yellow", "--name", "words", *at)
    failed(shotdex(*again), 2, "already a run named 'words'", "--replace")
    assert shotdex(*again, "--replace").status == 0
    assert (of_run(own, 2), of_run(own, number + 1)[2]) == ([0, 0, 0], 1)
    failed(shotdex("classify", "--classes", "no,nothing", "--name", "words", "--replace", *at), 1)
    assert of_run(own, number + 1)[2] == 1, "what fails replaces nothing"
    assert shotdex("classify", "--name", "new", "--replace", *at).status == 0, "there need not be one"
