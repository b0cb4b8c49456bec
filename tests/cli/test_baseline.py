"""`shotdex baseline`: import, list, show, compare, remove, as text and as JSON, and everything that is refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shotdex.analysis.baselines.importing import shipped_names
from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.prompts.build import from_names
from shotdex.analysis.results import accuracy_by
from shotdex.analysis.stats.proportions import difference_interval, verdict
from shotdex.cli.baseline import import_
from shotdex.store.baselines import find_baseline
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from tests.conftest import Ran, index
from tests.support.fakes import FakeEncoder
from tests.support.images import save_noise

from .checks import strict_json

Run = Callable[..., Ran]

CATEGORIES = ("red", "green", "blue")
NOTE = "The number of choices per trial is not known, so neither is chance."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with forty images in two of the toddlers' conditions, and two runs."""
    folder, encoder = tmp_path_factory.mktemp("made"), FakeEncoder()
    for i in range(40):
        save_noise(folder / "p" / ("geons", "blurred")[i % 2] / f"{CATEGORIES[i % 3]}{i:02}.png", seed=i)
    store = Store.create(folder / "store")
    index(store, folder / "p", encoder, "{condition}/{category}*", CATEGORIES)
    for name, templates in (("bare", ()), ("photo", ("a photo, {}",))):
        classify(store, Classification(from_names(CATEGORIES, templates), name=name), lambda _: encoder)
    return store.root


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / ".shotdex")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failed(ran: Ran, status: int, *words: str) -> None:
    assert ran.status == status, ran
    assert "Traceback" not in ran.err
    assert ran.out == ""
    for word in words:
        assert word in ran.err


def done(ran: Ran) -> str:
    assert (ran.status, ran.err) == (0, ""), ran
    return ran.out


def write(name: str, *lines: str) -> Path:
    path = Path(name)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def trials(here: Path, *subjects: str) -> Path:
    """Each subject is right on every second image; the first leaves one unanswered and sees one twice."""
    lines = ["subj,session,trial,rt,object_response,category,condition,imagename"]
    for s, subject in enumerate(subjects):
        for i in range(40):
            category, condition = CATEGORIES[i % 3], ("geons", "blurred")[i % 2]
            said = category if (i // 2 + s) % 2 else "na" if (s, i) == (0, 0) else "mauve"
            lines.append(f"{subject},1,{i},0.5,{said},{category},{condition},{category}{i:02}.png")
    lines.append(f"{subjects[0]},2,1,0.5,red,red,geons,red00.png")
    lines.append(f"{subjects[0]},2,2,0.5,red,red,geons,unheard-of.png")
    return write(str(here / "people.csv"), *lines)


def test_the_toddlers_from_import_to_removal(shotdex: Run, here: Path) -> None:
    imported = done(shotdex("baseline", "import", "toddlers"))
    assert imported.startswith("imported baseline toddlers (table)\nsource: ModelVsBaby, PsyArXiv 83gae, Fig. 3A")
    shown = done(shotdex("baseline", "show", "toddlers"))
    assert "imported " + shown == imported
    assert re.search(r"^geons +0\.585 +not reported +not reported +as reported, without an interval$", shown, re.M)
    listed = done(shotdex("baseline", "list"))
    assert re.search(r"^ +1 +toddlers +table +realistic, silhouettes, geons, blurred, features$", listed, re.M)
    compared = done(shotdex("baseline", "compare", "toddlers"))
    for text in (imported, listed, compared):
        assert NOTE in text
        assert "Fig. 3A" in text
    assert done(shotdex("baseline", "remove", "toddlers")) == "removed baseline toddlers: 5 accuracies\n"
    ran = shotdex("baseline", "list")
    assert (ran.status, ran.out) == (0, "")
    assert ran.err == (
        "no baselines yet; import a file, or one that ships: fashion-mnist-cnn, fashion-mnist-people, toddlers\n"
    )


def test_compare_says_what_the_intervals_say(shotdex: Run, here: Path) -> None:
    write("people.csv", "condition,accuracy,n,source", "blurred,0.98,500,a book", "geons,0.02,500,a book", ",0.4,,")
    done(shotdex("baseline", "import", "people.csv"))
    with Store(here / ".shotdex").reading() as con:
        people, run = find_baseline(con, "people"), find_run(con, "photo")
        mine = accuracy_by(con, run, "condition")
    text = done(shotdex("baseline", "compare", "people"))
    assert text.startswith("run photo against baseline people (table)\nimages: indexed ")
    assert "\nsource: a book\n" in text
    for condition in ("blurred", "geons"):
        theirs, ours = people.accuracies[condition], mine[condition]
        difference = difference_interval(theirs, ours)
        expected = (
            f"{condition} {verdict(difference)} {ours.value:.3f} [{ours.low:.3f}, {ours.high:.3f}] n=20 "
            f"{theirs.value:.3f} [{theirs.low:.3f}, {theirs.high:.3f}] n=500 "
            f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}] model: small n"
        )
        assert expected in [" ".join(line.split()) for line in text.splitlines()]
    assert re.search("^blurred +worse ", text, re.M)
    assert "0.400, no interval, n unknown" in text
    assert "These are 3 comparisons: each interval is 95 % on its own and not adjusted for their number." in text
    assert "only the model's uncertainty is counted" in text


def test_compare_another_run_as_json(shotdex: Run, here: Path) -> None:
    done(shotdex("baseline", "import", "toddlers"))
    found = strict_json(done(shotdex("baseline", "compare", "toddlers", "--run", "bare", "--json")))
    assert (found["run"]["name"], found["baseline"]["name"]) == ("bare", "toddlers")
    assert NOTE in found["baseline"]["note"]
    assert [row["condition"] for row in found["conditions"]] == ["geons", "blurred"]
    geons = found["conditions"][0]
    assert geons["baseline"] == {
        "value": 0.585,
        "low": None,
        "high": None,
        "n": 0,
        "method": "as reported, without an interval",
    }
    assert geons["words"].startswith(f"geons: {geons['verdict']} ({geons['model']['value']:.3f} [")
    assert geons["remarks"] == ["model: small n"]
    assert found["only_baseline"] == ["realistic", "silhouettes", "features"]
    assert (found["counts"], found["consistency"]) == (None, None)
    text = done(shotdex("baseline", "compare", "toddlers", "--run", "bare"))
    assert text.startswith("run bare against")
    assert "only in the baseline: realistic, silhouettes, features" in text


def test_trials_with_their_counts_and_consistency(shotdex: Run, here: Path) -> None:
    imported = done(shotdex("baseline", "import", trials(here, "ann", "bob")))
    assert "baseline people (trials)\nsource: people.csv\n" in imported
    assert "trials: 82 of 2 subjects; 1 without a response count as wrong\n" in imported
    assert "wilson 95 % over trials; those of one person are not independent" in imported
    text = done(shotdex("baseline", "compare", "people", "--run", "bare"))
    assert "error consistency: do model and people err on the same images?" in text
    assert "trials used: 80 of 82; 1 name no image of the run; 1 repeat an image" in text
    assert "names that the run does not have, for example: unheard-of.png" in text
    assert "those of one person are not" in text
    found = strict_json(done(shotdex("baseline", "compare", "people", "--run", "bare", "--json")))
    rows = {row["condition"]: row for row in found["consistency"]["conditions"]}
    assert set(rows) == {"geons", "blurred"}
    for condition, row in rows.items():
        ann, bob = (row["subjects"][name]["kappa"] for name in ("ann", "bob"))
        assert row["kappa"]["value"] == pytest.approx((ann + bob) / 2)
        assert (row["between"]["value"], row["pairs"], row["images"]) == (-1, 1, 20)  # each right where the other errs
        kappa = row["kappa"]
        line = f"{condition} {kappa['value']:.3f} [{kappa['low']:.3f}, {kappa['high']:.3f}] n=20"
        assert line in " ".join(text.split())
    assert found["counts"] == {"trials": 82, "subjects": 2, "missing": 1}
    assert done(shotdex("baseline", "remove", "people")) == "removed baseline people: 3 accuracies and 82 trials\n"


def test_trials_of_other_images(shotdex: Run, here: Path) -> None:
    write("people.csv", "subj,object_response,category,imagename", "s,dog,dog,new.png", "s,cat,dog,newer.png")
    done(shotdex("baseline", "import", "people.csv"))
    text = done(shotdex("baseline", "compare", "people"))
    assert "trials used: 0 of 2; 2 name no image of the run\n" in text
    assert "names that the run does not have, for example: new.png, newer.png" in text
    assert "kappa with" not in text


def test_import_list_and_show_as_json(shotdex: Run, here: Path) -> None:
    saved = strict_json(done(shotdex("baseline", "import", trials(here, "ann"), "--name", "ann", "--json")))
    assert (saved["baseline"]["kind"], saved["baseline"]["baseline_id"]) == ("trials", 1)
    assert saved["counts"] == {"trials": 42, "subjects": 1, "missing": 1}
    assert strict_json(done(shotdex("baseline", "show", "ann", "--json"))) == saved
    assert strict_json(done(shotdex("baseline", "list", "--json"))) == [saved]
    text = done(shotdex("baseline", "show", "1"))
    assert "trials: 42 of 1 subject; 1 without" in text


def test_what_was_assumed_goes_to_standard_error(shotdex: Run, here: Path) -> None:
    write("people.csv", "condition;accuracy;age", "geons;0,5;2")
    ran = shotdex("baseline", "import", "people.csv", "--source", "a book")
    assert ran.status == 0
    assert ran.err == "columns that were not used: age\n"
    assert re.search(r"^geons +0\.500 +not reported", ran.out, re.M)


def test_several_files(shotdex: Run, here: Path) -> None:
    header = "subj,object_response,category,imagename"
    paths = [write(f"s{i}.csv", header, f"s{i},dog,dog,a.png") for i in range(2)]
    failed(shotdex("baseline", "import", *paths), 2, "needs a name", "--name")
    assert "trials: 2 of 2 subjects\n" in done(shotdex("baseline", "import", *paths, "--name", "both"))


def test_refused(shotdex: Run, here: Path) -> None:
    failed(shotdex("baseline", "compare", "people"), 2, "no baseline 'people': this store has none yet", "import")
    done(shotdex("baseline", "import", "toddlers"))
    failed(shotdex("baseline", "import", "toddlers"), 2, "already a baseline named 'toddlers'", "--name toddlers-2")
    for words in (("compare", "people"), ("show", "people"), ("remove", "people")):
        failed(shotdex("baseline", *words), 2, "no baseline 'people'", "the baselines are: toddlers")
    failed(shotdex("baseline", "compare", "toddlers", "--run", "none"), 2, "no run 'none'", "bare, photo")
    failed(shotdex("baseline", "import", "nobody.csv"), 2, "no file nobody.csv", "toddlers")
    failed(shotdex("baseline", "import", "toddlers", "--name", " "), 2, "needs a name")
    failed(shotdex("baseline", "import"), 2, "FILE")
    write("bad.csv", "condition,accuracy,source", "geons,58.5,a book")
    failed(shotdex("baseline", "import", "bad.csv"), 2, "bad.csv, line 2: the accuracy 58.5", "divide by 100, 0.585")
    write("far.csv", "condition,accuracy,source", "upside-down,0.5,a book")
    done(shotdex("baseline", "import", "far.csv"))
    failed(shotdex("baseline", "compare", "far"), 2, "nothing to compare", "upside-down", "blurred, geons")
    names = [item["baseline"]["name"] for item in strict_json(done(shotdex("baseline", "list", "--json")))]
    assert names == ["toddlers", "far"]


def test_control_characters_do_not_reach_the_terminal(shotdex: Run, here: Path) -> None:
    write("odd.csv", "condition,accuracy,source,note", "geons,0.5,a \x1b[31mbook,mind\x07")
    for words in (
        ("import", "odd.csv", "--name", "o\x1bdd"),
        ("list",),
        ("show", "1"),
        ("compare", "1"),
        ("remove", "1"),
    ):
        text = done(shotdex("baseline", *words))
        assert "\x1b" not in text and "\x07" not in text
        assert "o\\x1bdd" in text


def test_the_help_names_every_baseline_that_ships() -> None:
    assert all(name in (import_.help or "") for name in shipped_names())
