"""shotdex diff: what it says of two runs."""

from __future__ import annotations

import re
from collections.abc import Callable

from shotdex.analysis.prompts.build import make_prompt_set
from shotdex.store.store import Store
from tests.conftest import Ran
from tests.support.evaluated import NAMES, change, judged, run

from .checks import failed, strict_json

Shotdex = Callable[..., Ran]


def test_two_prompt_sets(shotdex: Shotdex, own: Store) -> None:
    ran = shotdex("diff", "names", "words", "--store", own.root)
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].split() == ["what", "names", "words"]
    told = {line.split("  ")[0]: re.split(r"\s{2,}", line)[1:] for line in lines[2 : lines.index("")]}
    assert told["prompts of blue"] == ["blue", "purple | navy"]
    assert "encoder" not in told
    a, b = judged(own, "names"), judged(own, "words")
    pairs = list(zip(a, b, strict=True))
    changed = sum(x.ranked[0] != y.ranked[0] for x, y in pairs)
    gained, lost = sum(y.right > x.right for x, y in pairs), sum(x.right > y.right for x, y in pairs)
    assert lines[-1] == (
        f"75 images in both: {changed} have another best class in words; {gained} are right only there, "
        f"{lost} only in names"
    )


def test_the_same_asked_again(shotdex: Shotdex, own: Store) -> None:
    run(own, make_prompt_set("names", NAMES), name="again")
    assert shotdex("diff", "names", "again", "--store", own.root).out.splitlines() == [
        "names and again asked the same of the same images, with the same versions.",
        "75 images in both: 0 have another best class in again; 0 are right only there, 0 only in names",
    ]


def test_other_images(shotdex: Shotdex, own: Store) -> None:
    run(own, make_prompt_set("names", NAMES), name="test", where="split = 'test'")
    ran = shotdex("diff", "names", "test", "--store", own.root)
    assert "split = 'test'" in ran.out
    assert ran.out.splitlines()[-1] == "45 images only in names, 0 only in test"


def test_versions_and_json(shotdex: Shotdex, own: Store) -> None:
    change(
        own,
        """UPDATE runs SET versions = json_merge_patch(versions, '{"numpy": "0.1"}') WHERE name = 'names'""",
    )
    run(own, make_prompt_set("names", NAMES), name="again")
    ran = shotdex("diff", "names", "again", "--json", "--store", own.root)
    found = strict_json(ran.out)
    assert [(one["what"], one["first"]) for one in found["differences"]] == [("version of numpy", "0.1")]
    assert (found["shared"], found["changed"], found["gained"], found["lost"]) == (75, 0, 0, 0)
    assert (found["first"]["name"], found["second"]["name"]) == ("names", "again")
    assert "version of numpy  0.1" in shotdex("diff", "names", "again", "--store", own.root).out


def test_odd_names_do_not_break_the_table(shotdex: Shotdex, own: Store) -> None:
    odd = "a $x$ \x1b[31m\tü\n" + "long " * 12 + "end"
    with own.writing() as con:
        con.run("UPDATE runs SET name = $odd WHERE name = 'words'", {"odd": odd})
    ran = shotdex("diff", "names", odd, "--store", own.root)
    assert (ran.status, ran.err) == (0, "")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", ran.out)
    lines = ran.out.splitlines()
    starts = {line.index(word) for line, word in ((lines[0], "a $x$"), (lines[2], "words ("))}
    assert len(starts) == 1, "the second run's column begins where its name does"
    assert len(lines[1]) == len(lines[0])


def test_errors(shotdex: Shotdex, own: Store, store: Store) -> None:
    at = ("--store", own.root)
    failed(shotdex("diff", "names", *at), 2, "RUN")
    failed(shotdex("diff", "names", "gone", *at), 2, "no run 'gone'", "names, words, third")
    failed(shotdex("diff", "a", "b", "--store", store.root), 2, "no runs yet", "shotdex classify")
