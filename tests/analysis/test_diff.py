"""How two runs differ: each difference by itself, and the counts against the tables read another way."""

from __future__ import annotations

from typing import Any

import pytest

from shotdex.analysis.prompts.build import make_prompt_set
from shotdex.analysis.rerun import RunDiff, diff
from shotdex.store.encoders import add_encoder
from shotdex.store.errors import OptionError
from shotdex.store.store import Store
from shotdex.store.types import Combine, Pooling, Precision
from tests.support.evaluated import NAMES, THIRD, WORDS, change, judged, run
from tests.support.fakes import fake_id


def differences(found: RunDiff) -> dict[str, tuple[str, str]]:
    named = {one.what: (one.first, one.second) for one in found.differences}
    assert len(named) == len(found.differences)
    return named


def counts(found: RunDiff) -> tuple[int, ...]:
    return found.shared, found.changed, found.gained, found.lost, found.only_first, found.only_second


def counted(store: Store, first: str, second: str) -> tuple[int, ...]:
    """The same numbers, image by image."""
    a, b = ({image.image_id: image for image in judged(store, name)} for name in (first, second))
    both = a.keys() & b.keys()
    return (
        len(both),
        sum(a[i].ranked[0] != b[i].ranked[0] for i in both),
        sum(b[i].right and not a[i].right for i in both),
        sum(a[i].right and not b[i].right for i in both),
        len(a.keys() - b.keys()),
        len(b.keys() - a.keys()),
    )


def test_prompts(own: Store) -> None:
    found = diff(own, "names", "words")
    named = differences(found)
    name, text = named.pop("prompt set")
    assert name.startswith("names (")
    assert text.startswith("words (")
    assert named == {
        "prompts of red": ("red", "tomato"),
        "prompts of green": ("green", "olive"),
        "prompts of blue": ("blue", "purple | navy"),
        "prompts of yellow": ("yellow", "orange"),
    }
    assert counts(found) == counted(own, "names", "words")
    assert found.changed > found.gained + found.lost > 0
    assert counts(diff(own, "words", "names")) == counted(own, "words", "names")


def test_the_same_run(own: Store) -> None:
    found = diff(own, "names", "1")
    assert (found.differences, counts(found)) == ((), (75, 0, 0, 0, 0, 0))


@pytest.mark.parametrize("name", ["names", "another name"])
def test_the_same_asked_again(own: Store, name: str) -> None:
    """What a prompt set is called decides nothing."""
    run(own, make_prompt_set(name, NAMES), name="again")
    found = diff(own, "names", "again")
    assert (found.differences, counts(found)) == ((), (75, 0, 0, 0, 0, 0))


def test_how_prompts_are_combined(own: Store) -> None:
    prompts = {name: (*texts, "dark " + texts[0], "grey") for name, texts in NAMES.items()}
    for combine in Combine:
        run(own, make_prompt_set("set", prompts, combine=combine), name=combine.value)
    named = differences(diff(own, "mean", "max"))
    assert named.pop("combine") == ("mean", "max")
    first, second = named.pop("prompt set")
    assert first != second
    assert named == {}


def test_many_prompts_are_cut_short(own: Store) -> None:
    run(own, NAMES | {"red": tuple(f"{i} red" for i in range(6))}, name="many")
    assert differences(diff(own, "names", "many"))["prompts of red"] == (
        "red", "0 red | 1 red | 2 red | 3 red and 2 more"
    )  # fmt: skip


def test_prompts_in_another_order_are_another_set(own: Store) -> None:
    run(own, dict(reversed(NAMES.items())), name="names backwards")
    named = differences(diff(own, "names", "names backwards"))
    assert list(named) == ["prompt set"], "ties go by the order of the classes"


def test_aliases(own: Store) -> None:
    run(own, make_prompt_set("names", NAMES, aliases={"red": ["crimson"]}), name="aliased")
    named = differences(diff(own, "names", "aliased"))
    assert named.pop("aliases") == ("{}", "{'red': ('crimson',)}")
    assert list(named) == ["prompt set"]


@pytest.mark.parametrize(
    ("how", "what", "words"),
    [
        ({"where": "split = 'test'"}, "filter", ("none", "split = 'test'")),
        ({"k": 2}, "predictions kept", ("4 per image", "2 per image")),
        ({"seed": 3}, "seed", ("0", "3")),
    ],
)
def test_settings(own: Store, how: dict[str, Any], what: str, words: tuple[str, str]) -> None:
    run(own, make_prompt_set("names", NAMES), name="other", **how)
    assert differences(diff(own, "names", "other"))[what] == words


def test_only_what_was_asked_otherwise_is_listed(own: Store) -> None:
    run(own, make_prompt_set("names", NAMES), name="other", where="split = 'test'")
    found = diff(own, "names", "other")
    assert set(differences(found)) == {"filter", "images (digest)", "labels (digest)", "scored"}
    assert differences(found)["scored"] == ("75", "30")
    assert counts(found) == counted(own, "names", "other") == (30, 0, 0, 0, 45, 0)
    assert counts(diff(own, "other", "names")) == (30, 0, 0, 0, 0, 45)


def test_a_filter_that_keeps_the_same_images(own: Store) -> None:
    run(own, make_prompt_set("names", NAMES), name="other", where="true")
    assert differences(diff(own, "names", "other")) == {"filter": ("none", "true")}


def test_no_shared_image(own: Store) -> None:
    run(own, NAMES, name="test", where="split = 'test'")
    run(own, NAMES, name="train", where="split = 'train'")
    assert counts(diff(own, "test", "train")) == (0, 0, 0, 0, 30, 30)


def test_labels(own: Store) -> None:
    change(own, "UPDATE stored_images SET category = 'red' WHERE image_id IN (1, 2)")
    run(own, make_prompt_set("names", NAMES), name="later")
    found = diff(own, "names", "later")
    assert set(differences(found)) == {"labels (digest)"}
    assert (found.shared, found.changed) == (75, 0)
    assert found.gained + found.lost > 0


def test_images(own: Store) -> None:
    change(own, "UPDATE stored_images SET removed_at = TIMESTAMP '2030-01-01' WHERE image_id = 4")
    run(own, make_prompt_set("names", NAMES), name="later")
    found = diff(own, "names", "later")
    assert set(differences(found)) == {"images (digest)", "labels (digest)", "scored"}
    assert counts(found) == (74, 0, 0, 0, 1, 0)


def test_failures(own: Store) -> None:
    change(own, "INSERT INTO failures BY NAME SELECT '/x.png' AS path, 'read' AS stage, 'empty file' AS reason")
    run(own, make_prompt_set("names", NAMES), name="later")
    assert differences(diff(own, "names", "later")) == {"could not be scored": ("0", "1")}


def test_versions(own: Store) -> None:
    change(
        own,
        """UPDATE runs SET versions = json_merge_patch(versions, '{"numpy": "1.0", "jax": "0.4 beta", "torch": null}')
        WHERE name = 'words'""",
    )
    run(own, make_prompt_set("words", WORDS), name="again")
    named = differences(diff(own, "words", "again"))
    assert named.pop("version of jax") == ("0.4 beta", "absent")
    assert named.pop("version of torch")[0] == "absent"
    assert named.pop("version of numpy")[0] == "1.0"
    assert named == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": "7" * 64},
        {"preprocessing_sha256": "2" * 64},
        {"precision": Precision.BF16},
        {"pooling": Pooling.CLS},
        {"name": "other", "weights": "7" * 64},
    ],
)
def test_encoders_that_differ_in_one_thing(own: Store, changes: dict[str, Any]) -> None:
    """Whatever makes an encoder another one shows, also where name and weights are the same."""
    with own.writing() as con:
        number = add_encoder(con, fake_id(**changes))
        con.run(f"UPDATE runs SET encoder_id = {number} WHERE name = 'third'")
    run(own, make_prompt_set("third", THIRD), name="again", encoder_name="1")
    named = differences(diff(own, "third", "again"))
    assert set(named) == {"encoder"}
    assert named["encoder"][0] != named["encoder"][1]


def test_the_weights_of_encoders_of_one_name_show(own: Store) -> None:
    with own.writing() as con:
        con.run(f"UPDATE runs SET encoder_id = {add_encoder(con, fake_id(weights='7' * 64))} WHERE name = 'third'")
    first, second = differences(diff(own, "names", "third"))["encoder"]
    assert "00000000" in first
    assert "77777777" in second


def test_runs_without_labels_can_be_compared_in_their_answers(own: Store) -> None:
    want = counted(own, "names", "words")
    change(own, "UPDATE stored_images SET category = NULL")
    for name, classes in (("blind", NAMES), ("blinder", WORDS)):
        run(own, classes, name=name)
    found = diff(own, "blind", "blinder")
    assert counts(found) == (75, want[1], 0, 0, 0, 0)


def test_unknown_runs(own: Store, store: Store) -> None:
    with pytest.raises(OptionError, match="no run 'gone'") as caught:
        diff(own, "names", "gone")
    assert "names, words, third" in caught.value.hint
    with pytest.raises(OptionError, match="no runs yet"):
        diff(store, "a", "b")
