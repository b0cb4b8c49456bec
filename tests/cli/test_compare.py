"""shotdex compare: the table against the tables of the catalog, and everything that can be asked wrongly."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from scipy.stats import fisher_exact
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from shotdex.store.store import Store
from tests.conftest import Ran
from tests.support.evaluated import NAMES, WORDS, Judged, by_columns, change, judged, rows, run, save_noisy_colour

from .checks import failed, strict_json

Shotdex = Callable[..., Ran]
ODD = "a $x$ \x1b[31m\tü\u200b" + "long " * 12 + "名前"


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def table_below(text: str, first: str) -> list[list[str]]:
    """Return the cells of the table whose first line begins so: its head, then its rows."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(first))
    assert set(lines[start + 1]) <= {"-", " "}
    rule = start + 1
    widths = [(part.start(), part.end()) for part in re.finditer("-+", lines[rule])]
    table = []
    for line in [lines[start], *lines[rule + 1 :]]:
        if not line.strip() or len(cells(line)) < len(widths) - 1:
            break
        table.append([line[a : b if i < len(widths) - 1 else None].strip() for i, (a, b) in enumerate(widths)])
    return table


def counted(a: Sequence[Judged], b: Sequence[Judged]) -> tuple[int, int, float]:
    only_a = sum(x.right and not y.right for x, y in zip(a, b, strict=True))
    only_b = sum(y.right and not x.right for x, y in zip(a, b, strict=True))
    return only_a, only_b, float(mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue)


def test_two_runs_by_condition(shotdex: Shotdex, evaluated: Store) -> None:
    ran = shotdex("compare", "names", "words", "--by", "condition", "--store", evaluated.root)
    assert (ran.status, ran.err) == (0, "")
    covered = "images: indexed 75, failed 0, unlabelled 0, of another category 0; evaluated 75"
    assert ran.out.splitlines()[:2] == [f"names: {covered}", f"words: {covered}"]
    head, *body = table_below(ran.out, "images ")
    assert head[:9] == ["images", "names", "words", "difference", "95 % interval", "n", "only names", "only words", "p"]
    a, b = judged(evaluated, "names"), judged(evaluated, "words")
    groups = {name: [by_columns(part, ["condition"])[key] for part in (a, b)]
              for name, key in (("noisy", ("noisy",)), ("plain", ("plain",)), ("unlabelled", (None,)))}  # fmt: skip
    groups["all"] = [a, b]
    p_values = [counted(*parts)[2] for parts in groups.values()]
    corrected = multipletests(p_values, method="holm")[1]
    assert [row[0] for row in body] == list(groups)
    for row, parts, adjusted in zip(body, groups.values(), corrected, strict=True):
        only_a, only_b, p = counted(*parts)
        shares = [sum(image.right for image in part) / len(part) for part in parts]
        want = [f"{share:.3f}" for share in shares] + [f"{shares[1] - shares[0]:+.3f}"]
        assert row[1:4] == want
        assert row[5:8] == [str(len(parts[0])), str(only_a), str(only_b)]
        assert row[8:10] == [f"{p:.3f}", f"{adjusted:.3f}"]
        assert (row[10] == "small n") == (len(parts[0]) < 30)
    assert "Holm over 4 comparisons" in ran.out
    assert "McNemar, exact" in ran.out
    assert "small n: under 30 images" in ran.out
    apart = counted(a, b)
    assert f"{apart[0] + apart[1]} images that only one of them gets right; these are the first 5" in ran.out


def test_conditions_of_one_run(shotdex: Shotdex, evaluated: Store) -> None:
    ran = shotdex("compare", "words", "--by", "condition", "--store", evaluated.root)
    assert (ran.status, ran.err) == (0, "")
    _, *body = table_below(ran.out, "a ")
    groups = list(by_columns(judged(evaluated, "words"), ["condition"]).values())
    tallies = [(sum(image.right for image in part), len(part)) for part in groups]
    pairs = [(tallies[0], tallies[1]), (tallies[0], tallies[2]), (tallies[1], tallies[2])]
    p_values = [fisher_exact([[ra, na - ra], [rb, nb - rb]])[1] for (ra, na), (rb, nb) in pairs]
    corrected = multipletests(p_values, method="holm")[1]
    assert [row[:2] for row in body] == [["noisy", "plain"], ["noisy", "unlabelled"], ["plain", "unlabelled"]]
    for row, ((ra, na), (rb, nb)), p, adjusted in zip(body, pairs, p_values, corrected, strict=True):
        low, high = confint_proportions_2indep(rb, nb, ra, na, method="newcomb", compare="diff")
        assert row[2:4] == [f"{ra / na:.3f}", f"{rb / nb:.3f}"]
        assert row[4:6] == [f"{rb / nb - ra / na:+.3f}", f"{low:+.3f} to {high:+.3f}"]
        assert row[6:9] == [f"{na} and {nb}", f"{p:.3f}", f"{adjusted:.3f}"]
        assert (row[9] == "small n") == (min(na, nb) < 30)
    assert "newcombe" in ran.out
    assert "Fisher, exact; Holm over 3 comparisons" in ran.out
    assert "gets right" not in ran.out


def test_two_groups_stand_as_columns(shotdex: Shotdex, own: Store) -> None:
    run(own, NAMES, name="labelled", where="condition IS NOT NULL")
    ran = shotdex("compare", "labelled", "--by", "condition", "--store", own.root)
    head, *body = table_below(ran.out, "noisy ")
    assert head[:3] == ["noisy", "plain", "difference"]
    assert len(body) == 1
    assert "Holm over" not in ran.out


def test_three_runs(shotdex: Shotdex, evaluated: Store) -> None:
    ran = shotdex("compare", "names", "words", "third", "--store", evaluated.root)
    assert (ran.status, ran.err) == (0, "")
    head, *body = table_below(ran.out, "a ")
    assert head[:3] == ["a", "b", "images"]
    assert [row[:3] for row in body] == [
        ["names", "words", "all"],
        ["names", "third", "all"],
        ["words", "third", "all"],
    ]
    read = {name: judged(evaluated, name) for name in ("names", "words", "third")}
    p_values = [counted(read[row[0]], read[row[1]])[2] for row in body]
    corrected = multipletests(p_values, method="holm")[1].tolist()
    shown = [float(row[-1]) for row in strip_flags(body)]
    assert shown == pytest.approx(corrected, abs=0.00051)
    assert "Holm over 3 comparisons" in ran.out


def strip_flags(body: Sequence[list[str]]) -> list[list[str]]:
    return [row[:-1] if row[-1] in ("", "small n") else row for row in body]


def test_json(shotdex: Shotdex, evaluated: Store) -> None:
    ran = shotdex("compare", "names", "words", "--by", "condition,category", "--json", "--store", evaluated.root)
    found = strict_json(ran.out)
    assert (ran.status, ran.err) == (0, "")
    assert set(found["coverage"]) == {"names", "words"}
    assert found["coverage"]["names"]["evaluated"] == 75
    assert len(found["comparisons"]) == 13
    whole = found["comparisons"][-1]
    a, b = judged(evaluated, "names"), judged(evaluated, "words")
    assert (whole["group"], whole["only_a"], whole["only_b"]) == ("all", *counted(a, b)[:2])
    assert whole["p_value"] == pytest.approx(counted(a, b)[2], abs=1e-9)
    want = multipletests([one["p_value"] for one in found["comparisons"]], method="holm")[1]
    assert [one["adjusted"] for one in found["comparisons"]] == pytest.approx(want.tolist(), abs=1e-9)
    assert whole["a"]["value"] == pytest.approx(sum(image.right for image in a) / 75)
    assert {"value", "low", "high", "n", "method"} == set(whole["difference"])
    assert len(found["disagreements"]) == 5
    assert found["disagreements"][0]["right"] in ("names", "words")
    one = strict_json(shotdex("compare", "names", "--by", "condition", "--json", "--store", evaluated.root).out)
    assert (len(one["comparisons"]), one["disagreements"]) == (3, [])


def test_seeds(shotdex: Shotdex, evaluated: Store) -> None:
    def made(*how: object) -> str:
        ran = shotdex("compare", "names", "words", "--by", "condition", "--store", evaluated.root, *how)
        assert ran.status == 0, ran.err
        return ran.out

    few = ("--resamples", "100")
    assert made("--seed", "1", *few) == made("--seed", "1", *few)
    assert made(*few) == made("--seed", "0", *few)
    intervals = [[row[4] for row in table_below(made("--seed", seed, *few), "images ")[1:]] for seed in (1, 2, 3)]
    assert len({tuple(column) for column in intervals}) > 1


def test_disagreements(shotdex: Shotdex, evaluated: Store) -> None:
    arguments = ("compare", "names", "words", "--store", evaluated.root)
    a, b = judged(evaluated, "names"), judged(evaluated, "words")
    want = [
        [x.truth, x.columns["condition"] or "", x.ranked[0], y.ranked[0], "names" if x.right else "words"]
        for x, y in zip(a, b, strict=True)
        if x.right is not y.right
    ]
    ran = shotdex(*arguments, "--show", "1000")
    assert [row[:5] for row in table_below(ran.out, "category ")[1:]] == want
    assert "these are the first" not in ran.out
    assert [row[:5] for row in table_below(shotdex(*arguments, "--show", "2").out, "category ")[1:]] == want[:2]
    assert "gets right" not in shotdex(*arguments, "--show", "0").out
    assert strict_json(shotdex(*arguments, "--show", "0", "--json").out)["disagreements"] == []


def test_runs_that_are_right_on_the_same_images(shotdex: Shotdex, own: Store) -> None:
    run(own, NAMES, name="again")
    ran = shotdex("compare", "names", "again", "--store", own.root)
    assert "They are right on the same images." in ran.out
    assert "an interval of zero width" in ran.out


def test_an_interval_of_no_width_is_explained_wherever_there_is_one(shotdex: Shotdex, own: Store) -> None:
    """One image cannot be drawn in two ways, so its difference of 1 looks certain and is not."""
    apart = next(
        x.image_id for x, y in zip(judged(own, "names"), judged(own, "words"), strict=True) if x.right > y.right
    )
    for name, classes in (("one", NAMES), ("other", WORDS)):
        run(own, classes, name=name, where=f"image_id = {apart}")
    ran = shotdex("compare", "one", "other", "--store", own.root)
    row = table_below(ran.out, "images ")[1]
    assert row[3:8] == ["-1.000", "-1.000 to -1.000", "1", "1", "0"]
    assert row[-1] == "small n"
    assert "an interval of zero width" in ran.out
    assert "no width" not in shotdex("compare", "names", "words", "--store", own.root).out


def test_odd_names_do_not_break_the_table(shotdex: Shotdex, own: Store) -> None:
    with own.writing() as con:
        con.run("UPDATE runs SET name = $odd WHERE name = 'words'", {"odd": ODD})
        con.run("UPDATE stored_images SET condition = $odd WHERE condition = 'plain'", {"odd": ODD})
    for arguments in (("names", ODD, "--by", "condition"), (ODD, "--by", "condition"), ("names", ODD, "third")):
        ran = shotdex("compare", *arguments, "--store", own.root)
        assert (ran.status, ran.err) == (0, "")
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u200b]", ran.out)
        assert "$x$ \\x1b[31m\\tü\\u200b" in ran.out
        is_aligned(ran.out)


def is_aligned(text: str) -> None:
    """Every row of a table, its head too, has the gaps where the rule below the head has them."""
    from shotdex.formatting import width

    lines = text.splitlines()
    rules = [i for i, line in enumerate(lines) if line and set(line) <= {"-", " "}]
    assert rules
    for rule in rules:
        gaps = [part.start() for part in re.finditer("  ", lines[rule])]
        for line in [lines[rule - 1], lines[rule + 1]]:
            columns = "".join(char * width(char) for char in line)  # a wide character takes two places
            assert [columns[gap : gap + 2].strip() for gap in gaps] == [""] * len(gaps), line


def test_errors(shotdex: Shotdex, own: Store, store: Store) -> None:
    at = ("--store", own.root)
    failed(shotdex("compare", *at), 2, "RUN")
    failed(shotdex("compare", "names", *at), 2, "nothing to compare it with", "--by condition")
    failed(shotdex("compare", "names", "names", *at), 2, "two different runs")
    failed(shotdex("compare", "names", "1", *at), 2, "two different runs")
    failed(shotdex("compare", "names", "gone", *at), 2, "no run 'gone'", "names, words, third")
    failed(shotdex("compare", "names", "words", "--by", "conditon", *at), 2, "'conditon'", "did you mean condition?")
    failed(shotdex("compare", "names", "--by", 'a"; DROP TABLE runs; --', *at), 2, "no column", "group by: image_id")
    failed(shotdex("compare", "names", "words", "--resamples", "1", *at), 2)
    failed(shotdex("compare", "names", "words", "--seed", "-1", *at), 2)
    failed(shotdex("compare", "a", "b", "--store", store.root), 2, "no runs yet", "shotdex classify")
    run(own, NAMES, name="train", where="split = 'train'")
    run(own, NAMES, name="test", where="split = 'test'")
    failed(shotdex("compare", "train", "test", *at), 1, "no image in common", "--where")
    failed(shotdex("compare", "train", "--by", "split", *at), 2, "one group by split")
    change(own, "UPDATE stored_images SET category = 'red' WHERE image_id IN (1, 2)")
    run(own, WORDS, name="later")
    failed(shotdex("compare", "names", "later", *at), 1, "2 images have different categories", "shotdex rerun")
    change(own, "UPDATE stored_images SET category = NULL")
    run(own, NAMES, name="blind")
    failed(shotdex("compare", "names", "blind", *at), 1, "no image of the run 'blind' has a category", "shotdex index")
    assert rows(own, "SELECT count(*) FROM runs") == [(7,)]


def test_two_models_over_the_same_images(shotdex: Shotdex, tmp_path: Path, clip_folder: Path) -> None:
    """Index with a second CLIP without touching the first one's vectors, classify with each, compare."""
    from tests.support.models import save_random_clip

    for i in range(12):
        colour = ("red", "green", "blue")[i % 3]
        save_noisy_colour(tmp_path / "p" / f"cond{i % 2}" / colour / f"{i}.png", colour, 0.7, i)
    other = save_random_clip(tmp_path / "other", seed=1)
    at = ("--store", tmp_path / "s")
    source = ("index", tmp_path / "p", "--layout", "{condition}/{category}/*", "--device", "cpu", *at)
    assert shotdex(*source, "--model", clip_folder).status == 0
    store = Store(tmp_path / "s")
    select = "SELECT image_id, joint::VARCHAR, vision::VARCHAR FROM vectors_1 ORDER BY image_id"
    before = rows(store, select), {path.name: path.read_bytes() for path in store.index_folder.iterdir()}
    second = shotdex(*source, "--model", other)
    assert "12 unchanged and encoded with another model" in second.out, second.err
    after = {name: (store.index_folder / name).read_bytes() for name in before[1]}
    assert (rows(store, select), after) == before
    failed(shotdex("classify", *at), 2, "several encoders", "--model")
    for name, model in (("one", clip_folder), ("two", other)):
        ran = shotdex("classify", "--name", name, "--model", model, "-k", "3", "--device", "cpu", *at)
        assert ran.status == 0, ran.err
    assert rows(store, "SELECT name, encoder_id FROM runs ORDER BY 1") == [("one", 1), ("two", 2)]
    found = strict_json(shotdex("compare", "one", "two", "--by", "condition", "--json", *at).out)["comparisons"]
    a, b = judged(store, "one"), judged(store, "two")
    assert [one["group"] for one in found] == ["cond0", "cond1", "all"]
    assert (found[-1]["only_a"], found[-1]["only_b"]) == counted(a, b)[:2]
    assert found[-1]["p_value"] == pytest.approx(counted(a, b)[2], abs=1e-9)
    difference = strict_json(shotdex("diff", "one", "two", "--json", *at).out)["differences"]
    assert [one["what"] for one in difference] == ["encoder"]
    assert difference[0]["first"] != difference[0]["second"]
    for name in ("one", "two"):
        again = shotdex("rerun", name, "--device", "cpu", *at)
        assert again.status == 0, again
    change(store, "DELETE FROM text_vectors_2")
    save_random_clip(other, seed=2)
    failed(shotdex("rerun", "two", "--device", "cpu", *at), 1, "changed since", str(other), "shotdex index")
