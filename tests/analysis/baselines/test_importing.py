"""Files become baselines by their header; what ships says its source and its caveat; a bad file leaves nothing."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import pytest

from shotdex import demo
from shotdex.analysis.baselines.importing import read_baseline, record_baseline, shipped_names
from shotdex.store.baselines import OVERALL, Baseline, Kind, find_baseline, list_baselines, load_trials
from shotdex.store.errors import OptionError
from shotdex.store.store import Store

TABLE = "condition,accuracy,source\ngeons,0.5,a book\nblurred,0.25,a book\n"
TRIALS = "subj,object_response,category,imagename\ns1,dog,dog,a.png\ns1,na,cat,b.png\n"


def import_baseline(store: Store, files: list[Path], name: str | None = None) -> Baseline:
    return record_baseline(store, read_baseline(files, name))


def file(folder: Path, text: str, name: str = "people.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_by_its_header(store: Store, tmp_path: Path) -> None:
    saved = import_baseline(store, [file(tmp_path, TABLE)])
    assert (saved.name, saved.kind, saved.source) == ("people", Kind.TABLE, "a book")
    with store.reading() as con:
        found = find_baseline(con, "people")
        assert len(load_trials(con, found.baseline_id)) == 0
    assert {name: estimate.value for name, estimate in found.accuracies.items()} == {"geons": 0.5, "blurred": 0.25}
    assert len(found.sha256) == 64


def test_trials_by_their_header(store: Store, tmp_path: Path) -> None:
    saved = import_baseline(store, [file(tmp_path, TRIALS)], name=" others ")
    assert (saved.name, saved.kind, saved.source, saved.note) == ("others", Kind.TRIALS, "people.csv", "")
    assert (saved.accuracies[OVERALL].value, saved.accuracies[OVERALL].n) == (0.5, 2)
    with store.reading() as con:
        assert [row["imagename"] for row in load_trials(con, saved.baseline_id).to_pylist()] == ["a.png", "b.png"]


def test_several_files_of_trials(store: Store, tmp_path: Path) -> None:
    paths = [file(tmp_path, TRIALS.replace("s1", f"s{i}"), f"s{i}.csv") for i in range(5)]
    with pytest.raises(OptionError, match="needs a name") as caught:
        read_baseline(paths)
    assert "--name" in caught.value.hint
    saved = import_baseline(store, paths, "people")
    assert saved.source == "s0.csv, s1.csv, s2.csv and 2 more"
    assert saved.accuracies[OVERALL].n == 10
    assert saved.sha256 not in {read_baseline([path]).baseline.sha256 for path in paths}
    with pytest.raises(OptionError, match="only trials can come in several files"):
        read_baseline([*paths, file(tmp_path, TABLE)], "people")


def test_the_source_given_stands_in_for_the_files(tmp_path: Path) -> None:
    bare = file(tmp_path, "condition,accuracy\ngeons,0.5\n")
    first = read_baseline([bare], source="Smith (2024)")
    assert (first.baseline.source, first.notes) == ("Smith (2024)", ())
    assert read_baseline([file(tmp_path, TABLE)], source="a book").notes == ()
    replaced = read_baseline([file(tmp_path, TABLE)], source="Smith (2024)")
    assert replaced.baseline.source == "Smith (2024)"
    assert replaced.notes == ("the source given here takes the place of the file's: a book",)
    assert read_baseline([file(tmp_path, TRIALS)], source="Smith (2024)").baseline.source == "Smith (2024)"


def test_columns_that_are_not_used_are_said(tmp_path: Path) -> None:
    odd = file(tmp_path, "Accuracy,Source,Age Group,sd\n0.5,a book,2,0.1\n")
    assert read_baseline([odd]).notes == ("columns that were not used: age_group, sd",)


def test_another_encoding_is_said(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes("condition,accuracy,source\ngeons,0.5,Müller\n".encode("cp1252"))
    read = read_baseline([path])
    assert read.baseline.source == "Müller"
    assert read.notes == (f"{path}: line 2 is not UTF-8; such lines were read as Windows-1252",)


def test_the_toddlers_are_the_five_readings_with_their_caveat(store: Store) -> None:
    saved = import_baseline(store, [Path("toddlers")])
    values = {name: estimate.value for name, estimate in saved.accuracies.items()}
    assert values == {"realistic": 0.845, "silhouettes": 0.78, "geons": 0.585, "blurred": 0.55, "features": 0.54}
    assert list(values) == ["realistic", "silhouettes", "geons", "blurred", "features"]
    assert all(isnan(estimate.low) and estimate.n == 0 for estimate in saved.accuracies.values())
    assert saved.source == (
        "ModelVsBaby, PsyArXiv 83gae, Fig. 3A, read off the figure by three readers who agree within .01"
    )
    assert "The number of choices per trial is not known, so neither is chance." in saved.note
    assert "unless those were evaluated" in saved.note
    with store.reading() as con:
        assert find_baseline(con, "toddlers").note == saved.note


def test_what_else_ships() -> None:
    assert shipped_names() == ["fashion-mnist-cnn", "fashion-mnist-people", "toddlers"]
    people, cnn = (read_baseline([Path(f"fashion-mnist-{who}")]).baseline for who in ("people", "cnn"))
    assert (people.accuracies[OVERALL].value, people.accuracies[OVERALL].n) == (0.835, 1000)
    assert (cnn.accuracies[OVERALL].value, cnn.accuracies[OVERALL].n) == (0.919, 0)
    assert "README" in people.source and "majority of three" in people.source
    assert "notebook" in cnn.source
    for name in shipped_names():
        read = read_baseline([demo.BASELINES / f"{name}.csv"])
        assert read.baseline.source and read.baseline.note and read.notes == ()


def test_a_file_goes_before_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file(tmp_path, TABLE, "toddlers")
    assert read_baseline([Path("toddlers")]).baseline.source == "a book"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("condition,accuracy\ngeons,0.5\n", "does not say where its numbers come from", "--source"),
        ("condition,share\ngeons,0.5\n", "neither that of a table nor that of trials", "object_response"),
        ("nonsense\nmore\n", "neither that of a table nor that of trials", "condition,accuracy"),
        ("subj,category,imagename\ns,dog,a.png\n", "no column 'object_response'", "trials have"),
        ("subj,object_response,category\ns,dog,dog\n", "no column 'imagename'", "trials have"),
        ("object_response,category,imagename,accuracy\ndog,dog,a.png,1\n", "no column 'subj'", "trials have"),
        (TABLE + "features,54,a book\n", "line 4: the accuracy 54", "divide by 100, 0.54"),
        (TRIALS + "s1,dog,dog\n", "line 4: 3 values where the header has 4", "every row"),
        (TRIALS + ",dog,dog,c.png\n", "line 4: there is no subj", "every trial"),
    ],
)
def test_a_bad_file_leaves_nothing_behind(store: Store, tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        import_baseline(store, [file(tmp_path, text)])
    assert message in str(caught.value)
    assert str(tmp_path / "people.csv") in str(caught.value)
    assert hint in caught.value.hint
    with store.reading() as con:
        assert list_baselines(con) == []
        assert con.value("SELECT count(*) FROM baseline_trials") == 0


def test_no_such_file_and_no_such_shipped_name(store: Store) -> None:
    with pytest.raises(OptionError, match="no file toddler, and no baseline of that name") as caught:
        import_baseline(store, [Path("toddler")])
    assert caught.value.hint == "pass a CSV file, or one of: fashion-mnist-cnn, fashion-mnist-people, toddlers"
    with pytest.raises(OptionError, match="no file to import"):
        read_baseline([])


def test_a_name_is_not_taken_twice(store: Store, tmp_path: Path) -> None:
    import_baseline(store, [file(tmp_path, TABLE)])
    with pytest.raises(OptionError, match="already a baseline named 'people'") as caught:
        import_baseline(store, [file(tmp_path, TRIALS)])
    assert "--name people-2" in caught.value.hint
    assert import_baseline(store, [file(tmp_path, TRIALS)], "people-2").baseline_id == 2
