"""`shotdex classify`: published prompts, aliases, and what it says of the images that it could not score."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shotdex.analysis.stats.proportions import describe, wilson
from shotdex.store.store import Store
from tests.conftest import COLOURS, Ran, index
from tests.support.images import save_noise

Run = Callable[..., Ran]

LABELS = ("red", "green", "blue", "azure", "sky blue", "plaid")
TEMPLATES = {"colours": ["a photo of a {c} thing.", "{c}"], "other": ["the {c}"]}
NAMES = {"colours": ["red", "green", "blue"], "birds": ["duck", "owl"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, clip_folder: Path) -> Path:
    """A store of 60 images of noise under six labels, one without, seven broken ones; a random CLIP."""
    from shotdex.models.transformers_encoder import EncoderOptions, load_encoder

    folder = tmp_path_factory.mktemp("made")
    for i in range(60):
        save_noise(folder / "pics" / ("odd" if i % 2 else "even") / LABELS[i % 6] / f"{i}.png", seed=i)
    for i in range(7):
        (folder / "pics" / "even" / "red" / f"broken{i}.png").write_bytes(b"junk" if i else b"")
    store, encoder = Store.create(folder / "store"), load_encoder(str(clip_folder), EncoderOptions("cpu"))
    index(store, folder / "pics", encoder, "{condition}/{category}/*")  # type: ignore[arg-type]
    index(store, save_noise(folder / "more" / "x.png", 999).parent, encoder, "*")  # type: ignore[arg-type]
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the working folder, with published files in it."""
    shutil.copytree(made / "store", tmp_path / ".shotdex")
    (tmp_path / "t.json").write_text(json.dumps(TEMPLATES))
    (tmp_path / "n.json").write_text(json.dumps(NAMES))
    (tmp_path / "classnames.txt").write_text("red\ngreen\nblue\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(sql: str) -> list[tuple[Any, ...]]:
    with Store.open(Path(".shotdex")).reading() as con:
        return con.rows(sql)


def done(ran: Ran) -> Any:
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def predictions(name: str) -> list[tuple[Any, ...]]:
    return rows(
        "SELECT image_id, rank, p.category, prompt, cosine FROM predictions p JOIN runs USING (run_id) "
        f"WHERE name = '{name}' ORDER BY image_id, rank"
    )


class TestPublished:
    """Class names and templates from files, as they are."""

    def test_both(self, shotdex: Run, here: Path) -> None:
        given = ("--template", "t.json#colours", "--classes", "n.json#colours", "--name", "published")
        found = done(shotdex("classify", *given, "--json"))
        assert found["prompts"]["classes"]["red"] == ["a photo of a red thing.", "red"]
        assert found["prompts"]["templates"] == ["a photo of a {} thing.", "{}"]
        assert (found["prompts"]["name"], found["prompts"]["source"]) == ("n.json#colours, t.json#colours",) * 2
        assert found["prompts"]["combine"] == "mean"
        by_hand = ("--template", "a photo of a {} thing.", "--template", "{}", "--classes", "red,green,blue")
        other = done(shotdex("classify", *by_hand, "--name", "hand", "--json"))
        assert other["prompts"]["sha256"] == found["prompts"]["sha256"]
        assert (other["prompts"]["name"], other["prompts"]["source"]) == ("a photo of a {} thing. | {}", "command line")
        assert predictions("published") == predictions("hand")
        assert len(predictions("hand")) == 61 * 3
        settings = json.loads(rows("SELECT settings FROM runs WHERE name = 'published'")[0][0])
        assert (settings["templates"], settings["classes"]) == (["t.json#colours"], "n.json#colours")

    def test_one_or_the_other(self, shotdex: Run, here: Path) -> None:
        found = done(shotdex("classify", "--template", "t.json#other", "--classes", "red,blue", "--json"))
        assert found["prompts"]["classes"] == {"red": ["the red"], "blue": ["the blue"]}
        assert (found["prompts"]["name"], found["prompts"]["source"]) == ("t.json#other", "t.json#other")
        found = done(shotdex("classify", "--template", "my {}", "--classes", f"{here}/classnames.txt", "--json"))
        assert list(found["prompts"]["classes"].values()) == [["my red"], ["my green"], ["my blue"]]
        assert (found["prompts"]["name"], found["prompts"]["source"]) == ("classnames.txt", f"{here}/classnames.txt")
        found = done(shotdex("classify", "--template", "t.json#other", "--json"))
        assert list(found["prompts"]["classes"]) == sorted(LABELS), "the classes are the indexed categories"

    def test_a_published_set_as_prompts(self, shotdex: Run, here: Path) -> None:
        found = done(shotdex("classify", "--prompts", "n.json#colours", "--json"))
        assert found["prompts"]["classes"] == {"red": ["red"], "green": ["green"], "blue": ["blue"]}

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--template", "t.json#colors"), ("no set 'colors'", "colours, other")),
            (("--classes", "n.json"), ("holds 2 sets", "colours, birds")),
            (("--classes", "gone.json#x"), ("gone.json cannot be read",)),
            (("--template", "gone.txt"), ("gone.txt cannot be read",)),
            (("--prompts", "n.json#colours", "--classes", "n.json#colours"), ("--prompts",)),
        ],
    )
    def test_errors(self, shotdex: Run, here: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
        ran = shotdex("classify", *arguments)
        assert (ran.status, ran.out) == (2, "")
        assert "Traceback" not in ran.err
        assert all(word in ran.err for word in words)
        assert rows("FROM runs") == []

    def test_classes_that_no_image_has(self, shotdex: Run, here: Path) -> None:
        ran = shotdex("classify", "--classes", "n.json#birds")
        assert (ran.status, ran.out) == (1, "")
        assert "the classes are duck, owl" in ran.err
        assert "[aliases]" in ran.err


def test_prompts_that_a_run_used_are_used_again_by_name(shotdex: Run, here: Path) -> None:
    assert shotdex("classify", "--classes", "red,green", "--template", "a {} wall", "--name", "first").status == 0
    again = done(shotdex("classify", "--prompts", "a {} wall", "--name", "again", "--json"))
    by_digest = done(shotdex("classify", "--prompts", again["prompts"]["sha256"][:10], "--json"))
    assert again["prompts"] == by_digest["prompts"]
    assert rows("SELECT DISTINCT prompt_set_id FROM runs") == [(1,)]
    assert predictions("first") == predictions("again")
    ran = shotdex("classify", "--prompts", "a {} fence")
    assert (ran.status, "a {} fence" in ran.err) == (2, True)


ALIASED = """
classes = ["red", "green", "blue"]
[aliases]
blue = ["azure", "sky blue"]
"""


class TestAliases:
    """Several labels of one class."""

    MEANT = {name: name for name in ("red", "green", "blue")} | {"azure": "blue", "sky blue": "blue"}

    @pytest.fixture
    def judged(self, shotdex: Run, here: Path) -> Any:
        (here / "p.toml").write_text(ALIASED)
        return done(shotdex("classify", "--prompts", "p.toml", "--name", "aliased", "--json"))

    def test_accuracy_is_that_of_a_count_by_hand(self, judged: Any) -> None:
        labels = dict(rows("SELECT image_id, category FROM images"))
        best = [(self.MEANT.get(labels[i]), category) for i, rank, category, *_ in predictions("aliased") if rank == 1]
        known = [(true, guess) for true, guess in best if true]
        assert len(known) == 50
        right = sum(true == guess for true, guess in known)
        assert (judged["accuracy"]["value"], judged["accuracy"]["n"]) == (right / 50, 50)
        for name in ("red", "green", "blue"):
            own = [guess == true for true, guess in known if true == name]
            assert (judged["by_category"][name]["value"], judged["by_category"][name]["n"]) == (
                sum(own) / len(own),
                len(own),
            )
        assert set(judged["by_category"]) == {"red", "green", "blue"}
        found = {(true, guess): n for true, guess, n in rows("SELECT category, predicted, images FROM confusion")}
        assert found == Counter(known)
        by_category = {row[0]: row[1:] for row in rows("SELECT category, n, correct FROM accuracy_by_category")}
        assert by_category == {
            name: (sum(t == name for t, _ in known), sum(t == g == name for t, g in known)) for name in self.MEANT
            if name == self.MEANT[name]
        }  # fmt: skip
        ranks = dict(rows("SELECT image_id, true_rank FROM outcomes WHERE correct IS NOT NULL"))
        for image_id, rank, category, *_ in predictions("aliased"):
            assert (ranks.get(image_id) == rank) == (self.MEANT.get(labels[image_id]) == category)

    def test_the_rest_is_counted(self, judged: Any) -> None:
        assert judged["coverage"] == {"indexed": 61, "failed": 7, "unlabelled": 1, "other": 10, "evaluated": 50}
        assert judged["prompts"]["aliases"] == {"blue": ["azure", "sky blue"]}

    def test_without_them_the_labels_are_of_no_class(self, shotdex: Run, here: Path, judged: Any) -> None:
        (here / "q.toml").write_text(ALIASED.split("[")[0] + '["red", "green", "blue"]')
        plain = done(shotdex("classify", "--prompts", "q.toml", "--name", "plain", "--json"))
        assert (plain["coverage"]["other"], plain["coverage"]["evaluated"]) == (30, 30)
        assert plain["prompts"]["sha256"] != judged["prompts"]["sha256"]
        assert predictions("plain") == predictions("aliased"), "aliases change what is right, not what is predicted"


class TestHeader:
    """What the accuracy does and does not speak of."""

    def test_what_is_missing_is_counted_and_listed(self, shotdex: Run, here: Path, made: Path) -> None:
        ran = shotdex("classify", "--classes", "red,green,blue", "--name", "mine")
        lines = ran.out.splitlines()
        assert lines[:2] == [
            "run mine: prompts 'bare names', 3 for 3 classes",
            "images: indexed 61, failed 7, unlabelled 1, of another category 30; evaluated 30",
        ]
        assert lines[2:5] == [
            f"  10 images of category {name!r} are of no class; a prompt file can say [aliases]"
            for name in ("azure", "plaid", "sky blue")
        ]
        assert lines[5:10] == [
            f"  not scored: {made}/pics/even/red/broken{i}.png (decode: {'not an image' if i else 'empty file'})"
            for i in range(5)
        ]
        assert lines[10] == '  and 2 more: shotdex sql "FROM failures"'
        correct = rows("SELECT correct FROM accuracy")[0][0]
        worst = describe(wilson(correct, 30 + 7))
        assert lines[11] == f"  if those 7 counted as errors, accuracy@1 would be {worst}"
        assert lines[12] == ""

    def test_json_has_them_all(self, shotdex: Run, here: Path) -> None:
        found = done(shotdex("classify", "--classes", "red,green,blue", "--json"))
        assert [Path(path).name for path, *_ in found["not_scored"]] == [f"broken{i}.png" for i in range(7)]
        assert found["coverage"]["failed"] == found["run"]["failed"] == 7
        assert found["beyond_filter"] == 0

    def test_a_filter_cannot_speak_of_what_was_never_indexed(self, shotdex: Run, here: Path) -> None:
        ran = shotdex("classify", "--where", "condition = 'odd'")
        lines = ran.out.splitlines()
        assert lines[1] == "images: indexed 30, failed 0, unlabelled 0, of another category 0; evaluated 30"
        assert lines[2] == (
            "  7 images could not be indexed, and a filter cannot say whether they belong here: "
            'shotdex sql "FROM failures"'
        )
        assert "counted as errors" not in ran.out
        assert done(shotdex("classify", "--where", "condition = 'odd'", "--json"))["beyond_filter"] == 7

    def test_images_without_a_vector_of_the_encoder(
        self, shotdex: Run, here: Path, made: Path, siglip_folder: Path
    ) -> None:
        some = ("index", made / "pics" / "even" / "red", "--layout", "*", "--category", "red")
        assert shotdex(*some, "--model", siglip_folder).status == 0
        ran = shotdex("classify", "--model", siglip_folder, "--where", "category = 'red' OR category = 'blue'")
        first = rows("SELECT count(*) FROM vectors_2")[0][0]
        missing = 20 - first
        assert missing > 5
        assert f"indexed {first}, failed {missing}, unlabelled 0, of another category 0; evaluated {first}" in ran.out
        assert ran.out.count("(encode: no vector of this encoder)") == 5
        assert f"  and {missing - 5} more\n" in ran.out
        assert f"if those {missing} counted as errors, accuracy@1 would be " in ran.out

    def test_no_category_at_all(self, shotdex: Run, here: Path) -> None:
        ran = shotdex("classify", "--where", "category IS NULL", "--classes", "red,blue")
        assert ran.status == 0
        assert "indexed 1, failed 0, unlabelled 1, of another category 0; evaluated 0" in ran.out
        assert ran.out.endswith("so there is no accuracy; see: shotdex sql 'FROM outcomes'\n")

    def test_nothing_missing_nothing_said(self, shotdex: Run, tmp_path: Path, clip_folder: Path) -> None:
        for i, colour in enumerate(COLOURS):
            save_noise(tmp_path / "p" / colour / f"{i}.png", seed=i)
        at = ("--store", tmp_path / "s")
        assert shotdex("index", tmp_path / "p", "--model", clip_folder, *at).status == 0
        lines = shotdex("classify", *at).out.splitlines()
        assert lines[1:3] == ["images: indexed 5, failed 0, unlabelled 0, of another category 0; evaluated 5", ""]
