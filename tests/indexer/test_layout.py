"""Reading labels off paths."""

from __future__ import annotations

from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotdex.indexer.guess import Guess, guess_layout
from shotdex.indexer.layout import longest_category, parse_layout
from shotdex.store.errors import OptionError
from shotdex.store.images import Labels

EIGHT = ("airplane", "car", "chair", "cup", "dog", "donkey", "duck", "hat")


def read(pattern: str | None, path: str, categories: tuple[str, ...] = ()) -> tuple[str | None, str | None, str | None]:
    labels = parse_layout(pattern, categories).labels(path)
    return labels.category, labels.condition, labels.split


@pytest.mark.parametrize(
    ("pattern", "path", "want"),
    [
        ("{category}/*", "dog/1.png", ("dog", None, None)),
        ("{category}/*", "a/dog/1.png", (None, None, None)),
        ("**/{category}/*", "a/b/dog/1.png", ("dog", None, None)),
        ("**/{category}/*", "dog/1.png", ("dog", None, None)),
        ("{category}/**", "dog/a/b/1.png", ("dog", None, None)),
        ("{split}/{category}/*", "train/big dog/1.png", ("big dog", None, "train")),
        ("{condition}/{category}*", "blurred/Airplane03-left.png", ("Airplane", "blurred", None)),
        ("{condition}/{category}*", "blurred/03.png", (None, None, None)),
        ("{condition}/{category}", "blurred/dog.v2.png", ("dog.v2", "blurred", None)),
        ("{category}_{condition}", "dog_in_snow.png", ("dog_in", "snow", None)),
        ("{category}_*", "english_cocker_spaniel_1.png", ("english_cocker_spaniel", None, None)),
        ("{category}_*.jpg", "english_setter_12.jpg", ("english_setter", None, None)),
        ("{category}_*", "dog.png", (None, None, None)),
        ("{category}*", "english_cocker_spaniel_1.png", ("english_cocker_spaniel", None, None)),
        ("{category}*", "english-cocker spaniel7_2.png", ("english-cocker spaniel", None, None)),
        ("{category}*", "english_setter.png", ("english_setter", None, None)),
        ("{category}*", "हिन्दी_1.png", ("हिन्दी", None, None)),
        ("{category}*", "cafe\u0301_1.png", ("café", None, None)),
        ("{category}/*", "cafe\u0301/1.png", ("café", None, None)),
        ("cafe\u0301/{category}/*", "café/dog/1.png", ("dog", None, None)),
        ("{category}-*.jpg", "Dog-1.JPG", ("Dog", None, None)),
        ("img (+)/{category}/*", "IMG (+)/dog/1.png", ("dog", None, None)),
        ("/{category}/*/", "dog/1.png", ("dog", None, None)),
        ("*", "a.png", (None, None, None)),
        ("{category}/**", "dog/a\nb/1.png", ("dog", None, None)),
        ("**/{category}/*", "a\nb/d\nog/\n1.png", ("d\nog", None, None)),
        ("{category}*", " dog-1.png", (None, None, None)),
        ("{category}/*", " dog /1.png", (" dog ", None, None)),
        ("{category}/*", "-dog/!'\"\\;.png", ("-dog", None, None)),
        (None, "dog/1.png", (None, None, None)),
    ],
)
def test_patterns(pattern: str | None, path: str, want: tuple[str | None, ...]) -> None:
    assert read(pattern, path) == want


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("geons/Donkey7.png", "donkey"),
        ("geons/DOG7.png", "dog"),
        ("geons/dogdonkey.png", "dog"),
        ("geons/carchair.png", "car"),
        ("geons/cart.png", "car"),
        ("geons/Hat.png", "hat"),
        ("geons/cat.png", None),
        ("dog/cat.png", None),
    ],
)
def test_listed_categories_the_longest_that_the_name_starts_with(path: str, want: str | None) -> None:
    assert read("{condition}/{category}*", path, EIGHT) == (want, path.split("/")[0], None)


def test_the_longest_wins_in_any_order() -> None:
    assert longest_category("Hotdogs.png", ("hot", "hotdog", "dog")) == "hotdog"
    assert longest_category("Hotdogs.png", ("hotdog", "hot")) == "hotdog"
    assert longest_category("STRASSE1", ("straße",)) == "straße"


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("dog12.png", "dog"),
        ("x/Dog/1.png", "dog"),
        ("cup/dog1.png", "dog"),
        ("cup/x/1.png", "cup"),
        ("x/1.png", None),
        ("car01.png", "car"),
        ("car-2.png", "car"),
        ("CarSide.png", "car"),
        ("car.png", "car"),
        ("CAR_SIDE.png", "car"),
        ("carrot.png", None),
        ("CARROT.png", None),
        ("carrot01.png", None),
        ("hatchet1.png", None),
        ("dog/carrot01.png", "dog"),
    ],
)
def test_listed_categories_without_a_pattern(path: str, want: str | None) -> None:
    assert read(None, path, EIGHT)[0] == want


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("english_setter_1.png", "english setter"),
        ("English-Setter-1.png", "english setter"),
        ("EnglishSetter1.png", "english setter"),
        ("english_1.png", "english"),
        ("englishman.png", None),
        ("route66.png", None),
        ("route6_6.png", "route6"),
        ("cafe\u0301s.png", None),
        ("CAFE\u0301Side.png", None),
        ("Cafe\u0301Side.png", "café"),
    ],
)
def test_a_listed_category_of_several_words(path: str, want: str | None) -> None:
    assert read(None, path, ("english", "english setter", "cafe\u0301", "route6"))[0] == want


@pytest.mark.parametrize(
    ("path", "want", "doubt"),
    [("car01.png", "car", 0), ("carrot01.png", "car", 3), ("Carside_V3.png", "car", 4), ("x.png", None, 0)],
)
def test_doubts_of_a_star_that_is_anything(path: str, want: str | None, doubt: int) -> None:
    layout = parse_layout("{category}*", EIGHT)
    assert (layout.labels(path).category, layout.doubt(path)) == (want, doubt)


def test_a_list_decides_where_a_field_ends() -> None:
    assert read("{category}_*", "dog_in_snow_1.png", EIGHT)[0] == "dog"
    assert read("{condition}_{category}*", "very_blurred_dog_1.png", EIGHT) == ("dog", "very_blurred", None)
    assert read("{condition}_{category}*", "very_blurred_cat_1.png", EIGHT)[0] is None


def test_a_listed_category_of_a_whole_part() -> None:
    assert read("{category}/*", "DOG/1.png", EIGHT)[0] == "dog"
    assert read("{category}/*", "dogs/1.png", EIGHT)[0] is None


def test_fixed_labels_stand_over_what_the_path_says() -> None:
    layout = parse_layout("{condition}/{category}*", (), Labels(split="test", condition="fixed"))
    assert layout.labels("a/dog1.png") == Labels("dog", "fixed", "test")


@pytest.mark.parametrize(
    "pattern",
    ["{colour}/*", "{category}/{category}", "a//b", "", "/", "{category", "category}/*", "{}/*", "{{category}}/*"],
)
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_layout(pattern)
    assert "--layout" in caught.value.hint


@pytest.mark.parametrize(
    ("paths", "want"),
    [
        (["dog/1.png", "cat/2.png"], "{category}/*"),
        (["train/dog/1.png", "TEST/cat/2.png"], "{split}/{category}/*"),
        (["train/dog/1.png", "test/dog/2.png"], "{split}/*/*"),
        (["train/1.png", "val/2.png"], "{split}/*"),
        (["around/dog/1.png", "around/cat/2.png"], "*/{category}/*"),
        (["a/b/train/dog/1.png", "a/b/test/cat/2.png"], "*/*/{split}/{category}/*"),
        (["a/dog/1.png", "b/cat/2.png"], ""),
        (["dog/1.png", "2.png"], ""),
        (["dog/1.png", "dog/2.png"], ""),
        (["2020/1.png", "2021/2.png"], ""),
        (["images/1.png", "masks/1.png"], ""),
        (["0/1.png", "1/2.png"], "{category}/*"),
        (["1.png"], ""),
        ([], ""),
    ],
)
def test_guesses(paths: list[str], want: str) -> None:
    assert guess_layout(dict.fromkeys(paths, 1), paths).pattern == want


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["dog/1.png", "cat/2.png", "dog/3.png", "stray.png"], "stray.png"),
        (["train/dog/1.png", "test/cat/2.png", "extra/cat/3.png"], "extra"),
        (["dog/1.png"], "--category dog"),
        (["images/1.png", "masks/1.png"], "images, masks"),
        (["AirplaneSide.png", "AirplaneTop.png", "chair_01.png", "chair_02.png"], "--categories Airplane,chair"),
        (["dogs/a/1.png", "cats/b/2.png"], "{condition}/{category}/*"),
        (["AirplaneSide.png", "AirplaneTop.png", "chair_01.png"], "--layout '{category}*' --categories Airplane,chair"),
        (["set/AirplaneSide.png", "set/AirplaneTop.png", "set/chair_01.png"], "--categories Airplane,chair"),
    ],
)
def test_what_keeps_a_layout_from_being_guessed_is_said(paths: list[str], said: str) -> None:
    guess = guess_layout(dict.fromkeys(paths, 1), paths)
    assert not guess.pattern
    assert said in " ".join(guess.notes)


def test_conditions_are_not_taken_for_categories() -> None:
    names = [f"{word}{view}.png" for word in ("Airplane", "Car", "Chair") for view in ("Side", "Top")]
    paths = [f"{condition}/{name}" for condition in ("blurred", "geons") for name in names]
    guess = guess_layout({f"{condition}/{names[0]}": len(names) for condition in ("blurred", "geons")}, paths)
    assert not guess.pattern
    assert "--layout '{condition}/{category}*' --categories Airplane,Car,Chair" in guess.notes[0]


def test_spellings_and_views_are_no_categories_of_their_own() -> None:
    names = [f"{word}{view}" for word in ("Airplane", "Car", "Chair") for view in ("01", "Side_V2", "side_V3")]
    names += ["car_04", "chair_04", "Carrot01", "Carrot02"]
    paths = [f"{condition}/{name}.png" for condition in ("blurred", "geons") for name in names]
    guess = guess_layout({f"{condition}/{names[0]}": len(names) for condition in ("blurred", "geons")}, paths)
    assert guess.notes[0].endswith("--categories Car,Chair,Airplane,Carrot")


def test_names_of_files_that_repeat_their_folder_leave_the_guess() -> None:
    paths = [f"{word}/{word}_{number}.png" for word in ("dog", "cat", "cow") for number in range(5)]
    assert guess_layout({f"{word}/{word}_0.png": 5 for word in ("dog", "cat", "cow")}, paths).pattern == "{category}/*"


NAME = st.text(st.characters(categories=["L", "N", "Zs"], exclude_characters="/"), min_size=1, max_size=8)
PATTERNS = [
    "{condition}/{category}/*",
    "{split}/{category}/{condition}/*",
    "x/{category}_{condition}/*",
    "{condition}/{split}/{category}",
    "**/{split}/{category}/*",
]


@settings(deadline=None)
@given(st.sampled_from(PATTERNS), NAME, NAME, NAME, NAME)
def test_a_path_made_from_a_pattern_is_read_back(
    pattern: str, category: str, condition: str, split: str, name: str
) -> None:
    fields = {"category": category, "condition": condition, "split": split}
    fields = {field: normalize("NFC", value) for field, value in fields.items()}
    path = pattern
    for field, value in fields.items():
        path = path.replace("{" + field + "}", value)
    path = path.replace("**", "one/two").replace("*", name) + ".png"
    want = tuple(value if "{" + field + "}" in pattern else None for field, value in fields.items())
    assert read(pattern, path) == want


WORD = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=5)


@settings(deadline=None)
@given(
    st.lists(WORD, min_size=1, max_size=6, unique=True),
    st.data(),
    st.from_regex(r"[0-9_-][0-9a-z_-]{0,4}", fullmatch=True),
)
def test_the_naive_longest_prefix(categories: list[str], data: st.DataObject, rest: str) -> None:
    chosen = data.draw(st.sampled_from(categories))
    name = data.draw(st.sampled_from([chosen, chosen.upper(), chosen.title()])) + rest
    want = max((c for c in categories if name.lower()[: len(c)] == c), key=len)
    assert read("{condition}/{category}*", f"x/{name}.png", tuple(categories)) == (want, "x", None)


def naive(parts: tuple[str, ...], names: list[str]) -> dict[str, str] | None:
    """Return what fits a pattern of whole parts by trying: `**` takes as many folders as it can, then fewer."""
    if not parts:
        return {} if not names else None
    first, *rest = parts
    if first == "**" and rest:
        for taken in range(len(names) - 1, -1, -1):
            found = naive(tuple(rest), names[taken:])
            if found is not None:
                return found
        return None
    if first == "**":
        return {} if names else None
    if not names:
        return None
    found = naive(tuple(rest), names[1:])
    if found is None or (first not in ("*", "x") and not first.startswith("{")):
        return None
    if first == "x":
        return found if names[0].lower() == "x" else None
    return found if first == "*" else {first[1:-1]: names[0]} | found


ODD = st.text("ab{}*xX!.'\n -é🎈", min_size=1, max_size=4)
PARTS = st.lists(
    st.sampled_from(["{category}", "{condition}", "{split}", "*", "**", "x"]), min_size=1, max_size=5
).filter(
    # Each field at most once, and at least one where there is more than stars.
    lambda parts: (
        all(parts.count(part) == 1 for part in parts if part.startswith("{"))
        and (any(part.startswith("{") for part in parts) or "x" not in parts)
    )
)


@settings(deadline=None, max_examples=300)
@given(PARTS, st.lists(st.one_of(ODD, st.just("x")), min_size=1, max_size=6))
def test_against_trying(parts: list[str], names: list[str]) -> None:
    *folders, name = names
    file = f"{name}.png"
    last = [*folders, name if parts[-1].startswith("{") else file]
    found = naive(tuple(parts), last)
    want = tuple((found or {}).get(field) for field in ("category", "condition", "split"))
    assert read("/".join(parts), "/".join([*folders, file])) == want


def test_names_that_cameras_give_are_not_taken_for_categories() -> None:
    paths = [f"{word}_{number}.jpg" for word in ("IMG", "DSC") for number in range(5)]
    assert guess_layout({paths[0]: 10}, paths) == Guess()
    words = ["Beach.jpg", "Party.jpg", "Dog.jpg", "Cat.jpg"]
    assert guess_layout({words[0]: 4}, words) == Guess()
