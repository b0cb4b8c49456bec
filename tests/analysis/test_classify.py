"""Classification against an independent full matrix product, and against the loop that people write in notebooks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shotdex import demo
from shotdex.analysis.classify import Classification, classify, indexed_categories
from shotdex.analysis.prompts.build import from_names, make_prompt_set
from shotdex.analysis.scoring import ClassTexts, best_classes, probabilities, true_ranks
from shotdex.store.errors import EmptyStore, EncoderMismatch, MissingLabels, OptionError, StoreError, UnknownClass
from shotdex.store.ids import renew_images_generation
from shotdex.store.store import Store
from shotdex.store.types import Combine, PromptSet, Run
from tests.conftest import COLOURS, index
from tests.conftest import index as conftest_index
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.images import save_noise

CLASSES = {
    "red": ("red", "dark thing", "noise"),
    "green": ("green",),
    "blue": ("blue", "cold thing"),
    "other": ("something", "nothing", "anything", "everything"),
}


ODD = [0.5, 0.25, 0.25, 0.0, -0.0, -1.0, float("nan"), float("inf"), float("-inf")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 61 images of noise, one without category, and the `store` of them, which tests leave alone."""
    folder = tmp_path_factory.mktemp("many")
    store, fake = Store.create(folder / "store"), FakeEncoder()
    names = ["red", "green", "blue", "unlisted"]
    for i in range(60):
        save_noise(folder / "p" / names[i % 4] / f"{i}.png", seed=i)
    index(store, folder / "p", fake)
    index(store, save_noise(folder / "q" / "x.png", seed=999).parent, fake, "*")
    return folder


@pytest.fixture
def many(made: Path, tmp_path: Path) -> Store:
    """A copy of that store, to be changed."""
    shutil.copytree(made / "store", tmp_path / "many")
    return Store(tmp_path / "many")


def run(store: Store, prompts: PromptSet, encoder: Any = None, **how: Any) -> Run:
    used = encoder or FakeEncoder()
    return classify(store, Classification(prompts, **how), lambda _: used)


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with store.reading() as con:
        return con.rows(sql)


def naive(store: Store, prompts: PromptSet, encoder: Any) -> dict[int, list[tuple[str, float, float]]]:
    """Every image by itself, every prompt by itself, in float64: {image: [(class, cosine, probability) best first]}."""
    texts = {text: encoder.encode_texts([text])[0].astype(np.float64) for p in prompts.classes.values() for text in p}
    made = {}
    for image_id, vector in rows(store, "SELECT image_id, joint FROM vectors_1 SEMI JOIN images USING (image_id)"):
        image = np.array(vector, np.float64)
        cosines = []
        for category, own in prompts.classes.items():
            if prompts.combine is Combine.MAX:
                cosines.append((category, max(float(image @ texts[text]) for text in own)))
            else:
                mean = np.mean([texts[text] for text in own], axis=0)
                cosines.append((category, float(image @ (mean / np.linalg.norm(mean)))))
        scale, bias = encoder.id.logit_scale, encoder.id.logit_bias
        logits = np.array([scale * cosine + bias for _, cosine in cosines])
        exponents = np.exp(logits)
        chances = exponents / (1 + exponents) if encoder.id.sigmoid else exponents / exponents.sum()
        triples = [(category, cosine, chance) for (category, cosine), chance in zip(cosines, chances, strict=True)]
        made[image_id] = sorted(triples, key=lambda triple: -triple[1])
    return made


@pytest.mark.parametrize("combine", list(Combine))
@pytest.mark.parametrize("sigmoid", [False, True])
def test_every_image_against_every_prompt(store: Store, tmp_path: Path, combine: Combine, sigmoid: bool) -> None:
    encoder = FakeEncoder(fake_id(sigmoid=sigmoid, logit_bias=-3.0 if sigmoid else 0.0))
    for i in range(30):
        save_noise(tmp_path / "p" / ["red", "green", "blue"][i % 3] / f"{i}.png", seed=i)
    index(store, tmp_path / "p", encoder)
    prompts = make_prompt_set("x", CLASSES, combine=combine)
    made = run(store, prompts, encoder, k=99)
    want = naive(store, prompts, encoder)
    found: dict[int, list[tuple[Any, ...]]] = {}
    for image_id, *rest in rows(
        store, "SELECT image_id, rank, category, cosine, probability, prompt FROM predictions ORDER BY image_id, rank"
    ):
        found.setdefault(image_id, []).append(tuple(rest))
    assert (made.scored, made.k, set(found)) == (30, 4, set(want))
    for image_id, predictions in found.items():
        assert [row[0] for row in predictions] == [1, 2, 3, 4]
        assert [row[1] for row in predictions] == [triple[0] for triple in want[image_id]]
        assert [row[2] for row in predictions] == pytest.approx([triple[1] for triple in want[image_id]], abs=1e-6)
        assert [row[3] for row in predictions] == pytest.approx([triple[2] for triple in want[image_id]], abs=1e-5)
        assert all(row[4] in CLASSES[row[1]] for row in predictions)
    truths = rows(store, "SELECT image_id, category, true_rank, true_cosine, true_probability FROM truths")
    assert len(truths) == 30
    for image_id, category, rank, cosine, chance in truths:
        order = [triple[0] for triple in want[image_id]]
        assert rank == order.index(category) + 1
        assert (cosine, chance) == pytest.approx(want[image_id][rank - 1][1:], abs=1e-5)


def test_the_best_prompt_of_a_class_is_named(store: Store, fake: FakeEncoder, colours: Path) -> None:
    index(store, colours, fake, "{condition}/*")
    run(store, make_prompt_set("x", {"a": ("red", "blue"), "b": ("green", "white", "yellow")}, combine=Combine.MAX))
    found = rows(store, "SELECT DISTINCT path, prompt FROM predictions JOIN images USING (image_id) WHERE rank = 1")
    assert {(Path(path).stem[:-1].lower(), prompt) for path, prompt in found} == {
        (colour, colour) for colour in COLOURS
    }


def test_counts(many: Store, made: Path, fake: FakeEncoder) -> None:
    broken = made / "p" / "red" / "broken.png"
    broken.write_bytes(b"")
    index(many, made / "p", fake)
    broken.unlink()
    found = run(many, make_prompt_set("x", CLASSES), k=2)
    assert (found.images, found.scored, found.unlabelled, found.outside, found.failed) == (61, 61, 1, 15, 1)
    assert rows(many, "SELECT count(*), max(rank) FROM predictions") == [(122, 2)]
    assert rows(many, "SELECT count(*), count(true_rank) FROM truths") == [(61, 45)]
    narrow = run(many, make_prompt_set("x", CLASSES), where="category = 'red'", k=9)
    assert (narrow.images, narrow.scored, narrow.unlabelled, narrow.outside, narrow.k) == (15, 15, 0, 0, 4)


def test_an_image_that_a_second_encoder_cannot_encode_is_counted_once(
    store: Store, fake: FakeEncoder, tmp_path: Path
) -> None:
    from tests.indexer.test_run import is_red
    from tests.support.images import save_colour

    for colour in ("red", "green", "blue"):
        save_colour(tmp_path / "p" / colour / "1.png", colour)
    index(store, tmp_path / "p", fake)
    other = FakeEncoder(fake_id("other", weights="7" * 64), spoil=is_red)
    index(store, tmp_path / "p", other)
    made = run(store, from_names(COLOURS), other, encoder_name="other")
    assert (made.images, made.scored, made.failed) == (3, 2, 1)
    first = run(store, from_names(COLOURS), fake, encoder_name="fake")
    assert (first.images, first.scored, first.failed) == (3, 3, 0)


def test_ties_go_to_the_class_that_stands_first(store: Store, fake: FakeEncoder, colours: Path) -> None:
    index(store, colours, fake, "{condition}/{category}*", COLOURS)
    run(store, make_prompt_set("x", dict.fromkeys(("z", "y", "red", "a"), ("same",))), k=4)
    assert rows(store, "SELECT DISTINCT list(category ORDER BY rank) FROM predictions GROUP BY image_id") == [
        (["z", "y", "red", "a"],)
    ]
    assert rows(store, "SELECT DISTINCT true_rank FROM truths WHERE category = 'red'") == [(3,)]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 40), st.lists(st.integers(1, 4), min_size=2, max_size=9), st.sampled_from([3, 16, 64]),
    st.sampled_from(list(Combine)), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_scores_with_equal_prompts(count: int, sizes: Sequence[int], dim: int, combine: Combine, seed: int) -> None:
    """Classes with the same prompts score the same to the last bit, wherever they stand."""
    rng = np.random.default_rng(seed)

    def unit(shape: tuple[int, int]) -> np.ndarray:
        drawn = rng.normal(size=shape).astype(np.float32)
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    images, prompts = unit((count, dim)), unit((sum(sizes), dim))
    twice = np.concatenate([prompts, prompts])
    before = images.copy(), twice.copy()
    scores = ClassTexts(twice, [*sizes, *sizes], combine).scores(images)[0]
    assert (images == before[0]).all()
    assert (twice == before[1]).all()
    classes = len(sizes)
    assert (scores[:, :classes] == scores[:, classes:]).all()
    order = best_classes(scores, 2 * classes)
    first = (order < classes).argmax(axis=1)
    assert (order[np.arange(count), first] < classes).all()
    assert (order[:, 0] < classes).all(), "the class that stands first wins a tie"


@pytest.mark.parametrize("sigmoid", [False, True])
def test_probabilities_of_extreme_cosines(sigmoid: bool) -> None:
    cosines = np.array([[1, -1, 0], [0.5, 0.5, 0.5]], np.float32)
    encoder = fake_id(logit_scale=1e4, logit_bias=-5.0, sigmoid=sigmoid)
    chances = probabilities(cosines, np.tile(np.arange(3), (2, 1)), encoder)
    assert np.isfinite(chances).all()
    if sigmoid:
        assert chances[0].tolist() == pytest.approx([1, 0, 1 / (1 + np.exp(5))])
    else:
        assert chances[0].tolist() == [1, 0, 0]
        assert chances[1].tolist() == pytest.approx([1 / 3] * 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 1200), st.sampled_from([1.0, 14.3, 100.0]), st.floats(1e-4, 1))
def test_probabilities_are_the_softmax(seed: int, classes: int, scale: float, spread: float) -> None:
    """Held to the same in float64: apart by less than what rounding a cosine to float32 does, scale x 6e-8."""
    rng = np.random.default_rng(seed)
    cosines = (spread * rng.uniform(-1, 1, size=(7, classes))).astype(np.float32)
    chosen = rng.integers(classes, size=(7, 3))
    exact = scipy.special.softmax(scale * cosines.astype(np.float64), axis=1)
    got = probabilities(cosines, chosen, replace(fake_id(), logit_scale=scale))
    assert got.dtype == np.float64
    assert got.max() <= 1
    np.testing.assert_allclose(got, np.take_along_axis(exact, chosen, axis=1), rtol=1e-6)


def test_true_ranks_of_unknown_truth() -> None:
    cosines = np.array([[2, 1, 3], [3, 2, 1]], np.float32)
    assert true_ranks(cosines, np.array([1, -1])).tolist() == [3, 0]


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(2, 40)), elements=st.sampled_from(ODD)),
    st.data(),
)
def test_the_best_and_the_true_rank_are_those_of_sorting_everything(cosines: np.ndarray, data: st.DataObject) -> None:
    """Ties, infinities and what is no number included; the twin sorts Python's own numbers."""
    count = cosines.shape[1]
    k = data.draw(st.integers(1, count))
    truth = np.array(data.draw(st.lists(st.integers(-1, count - 1), min_size=len(cosines), max_size=len(cosines))))
    key = [[(np.isnan(value), -value if not np.isnan(value) else 0.0) for value in row] for row in cosines.tolist()]
    order = [sorted(range(count), key=row.__getitem__) for row in key]
    assert best_classes(cosines, k).tolist() == [row[:k] for row in order]
    want = [row.index(one) + 1 if one >= 0 else 0 for row, one in zip(order, truth.tolist(), strict=True)]
    assert true_ranks(cosines, truth).tolist() == want


class TestRuns:
    """Names, filters and refusals."""

    def test_names_are_unique_and_nothing_is_overwritten(self, many: Store) -> None:
        prompts = make_prompt_set("x", CLASSES)
        assert run(many, prompts, name="mine").name == "mine"
        with pytest.raises(OptionError, match="already a run named 'mine'") as caught:
            run(many, prompts, name="mine")
        assert "--name" in caught.value.hint
        assert run(many, prompts).name == "run-2"
        assert rows(many, "SELECT run_id, name FROM runs ORDER BY 1") == [(1, "mine"), (2, "run-2")]

    def test_a_default_name_that_the_user_took_is_passed_over(self, many: Store) -> None:
        prompts = make_prompt_set("x", CLASSES)
        run(many, prompts, name="run-2")
        assert run(many, prompts).name not in ("", "run-2")

    def test_equal_prompt_sets_are_kept_once(self, many: Store) -> None:
        assert run(many, make_prompt_set("x", CLASSES)).prompt_set_id == 1
        assert run(many, make_prompt_set("x", CLASSES)).prompt_set_id == 1
        assert run(many, make_prompt_set("x", CLASSES, combine=Combine.MAX)).prompt_set_id == 2
        assert rows(many, "SELECT count(*) FROM prompts") == [(20,)]

    def test_texts_are_encoded_once(self, many: Store, fake: FakeEncoder) -> None:
        run(many, make_prompt_set("x", CLASSES), fake)
        run(many, make_prompt_set("y", CLASSES, combine=Combine.MAX), fake)
        assert sorted(fake.texts) == sorted(text for texts in CLASSES.values() for text in texts)

    def test_refusals(self, many: Store) -> None:
        prompts = make_prompt_set("x", CLASSES)
        with pytest.raises(OptionError):
            run(many, prompts, k=0)
        with pytest.raises(EmptyStore):
            run(many, prompts, where="false")
        with pytest.raises(UnknownClass, match=r"blue .*, green .*, red .*, unlisted .*cat, dog"):
            run(many, from_names(["cat", "dog"]))
        with pytest.raises(EncoderMismatch, match="changed since"):
            run(many, prompts, FakeEncoder(fake_id(weights="9" * 64)))
        assert rows(many, "FROM runs") == []
        assert rows(many, "FROM predictions") == []

    def test_an_empty_store(self, store: Store) -> None:
        with pytest.raises(EmptyStore):
            run(store, make_prompt_set("x", CLASSES))

    def test_no_labels_at_all_still_predicts(self, many: Store) -> None:
        made = run(many, from_names(["cat", "dog"]), where="category IS NULL")
        assert (made.scored, made.unlabelled) == (1, 1)

    def test_indexed_categories(self, many: Store, store: Store) -> None:
        with many.reading() as con:
            assert indexed_categories(con) == ["blue", "green", "red", "unlisted"]
        with store.reading() as con, pytest.raises(MissingLabels):
            indexed_categories(con)


@pytest.mark.parametrize("held", [0, 25, 1000])
@pytest.mark.parametrize("index", ["whole", "gone", "cut", "old"])
def test_more_images_than_are_held(many: Store, monkeypatch: pytest.MonkeyPatch, held: int, index: str) -> None:
    """Whether vectors are held, come from the FAISS file, or, where that is of no use, from the catalog again."""
    from shotdex.analysis import scorer
    from shotdex.store.engines.faiss_file import FaissFile

    run(many, make_prompt_set("x", CLASSES), k=4)
    [file] = many.index_folder.glob("*.faiss")
    if index == "gone":
        file.unlink()
    if index == "cut":  # while it is read
        real, calls = FaissFile.read, []

        def cut(self: FaissFile, places: np.ndarray) -> np.ndarray:
            calls.append(len(places))
            if len(calls) == 2:
                os.truncate(file, 1000)
            return real(self, places)

        monkeypatch.setattr(FaissFile, "read", cut)
    if index == "old":
        save_noise(many.root / "new" / "a.png", seed=777)
        monkeypatch.setattr("shotdex.indexer.run.write_index", lambda *_: None)
        conftest_index(many, many.root / "new", FakeEncoder())
    monkeypatch.setattr(scorer, "CHUNK", 7)
    monkeypatch.setattr(scorer, "SPOOL_BYTES", 100)
    monkeypatch.setattr(scorer, "HELD_BYTES", 4 * 32 * held)
    monkeypatch.setattr(scorer, "CELLS", 5 * sum(map(len, CLASSES.values())))
    monkeypatch.setattr(scorer, "BLOCK_CELLS", 2 * len(CLASSES))
    run(many, make_prompt_set("x", CLASSES), k=4)
    select = "SELECT image_id, rank, category, prompt, cosine FROM predictions WHERE image_id <= 61 AND run_id = "
    assert rows(many, "SELECT count(*) FROM predictions WHERE run_id = 2") == [(244 + 4 * (index == "old"),)]
    whole, chunked = rows(many, f"{select} 1 ORDER BY ALL"), rows(many, f"{select} 2 ORDER BY ALL")
    assert [row[:4] for row in whole] == [row[:4] for row in chunked]
    assert [row[4] for row in whole] == pytest.approx([row[4] for row in chunked], abs=1e-6)


def test_what_changed_while_images_were_scored(many: Store, fake: FakeEncoder) -> None:
    """A file may disappear; where the encoder was removed nothing is recorded."""

    class Meanwhile(FakeEncoder):
        def __init__(self, sql: str) -> None:
            super().__init__()
            self._sql = sql

        def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
            with many.writing() as con:
                con.run(self._sql)
                renew_images_generation(con)
            return super().encode_texts(texts)

    run(many, from_names(COLOURS), Meanwhile("UPDATE stored_images SET removed_at = now() WHERE image_id = 3"))
    with pytest.raises(StoreError, match="encoder was removed"):
        run(many, from_names(["red", "new"]), Meanwhile("DELETE FROM encoders"))
    assert rows(many, "SELECT count(*), max(scored) FROM runs") == [(1, 61)]


def test_another_prompt_set_needs_no_image(many: Store, made: Path, tmp_path: Path) -> None:
    prompts = make_prompt_set("x", CLASSES)
    run(many, prompts)
    moved = [place.rename(tmp_path / place.name) for place in (made / "p", made / "q")]
    try:
        found = run(many, make_prompt_set("y", {name: ("a " + texts[0],) for name, texts in CLASSES.items()}), k=4)
        again = run(many, prompts)
    finally:
        for place in moved:
            place.rename(made / place.name)
    assert (found.scored, found.failed, again.scored) == (61, 0, 61)
    select = "SELECT image_id, rank, category, prompt, cosine FROM predictions WHERE run_id = "
    assert rows(many, select + "1") == rows(many, select + "3") != rows(many, select + "2")


@pytest.fixture(scope="module")
def evaluated(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Any]:
    from shotdex.models.transformers_encoder import EncoderOptions, load_encoder

    store, encoder = Store.create(tmp_path_factory.mktemp("evaluated")), load_encoder("demo", EncoderOptions("cpu"))
    report = index(store, demo.EVALUATION, encoder, "{condition}/{category}*", demo.CATEGORIES)  # type: ignore[arg-type]
    assert (report.failed, report.unlabelled) == (0, 0)
    assert report.added >= 200
    return store, encoder


def test_the_notebooks_own_loop(
    evaluated: tuple[Store, Any], demo_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processor with all labels and one image, argmax of `logits_per_image`: the same prediction for each.

    Of every third image, whatever its category and condition: to encode all of them one by one takes long.
    """
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    store, encoder = evaluated
    run(store, from_names(demo.CATEGORIES), encoder, name="bare")
    model = CLIPModel.from_pretrained(demo_model).eval()
    tokens = AutoTokenizer.from_pretrained(demo_model)(list(demo.CATEGORIES), padding=True, return_tensors="pt")
    processor = AutoImageProcessor.from_pretrained(demo_model, backend="pil")
    found = rows(store, "SELECT path, predicted, probability FROM outcomes WHERE run = 'bare' ORDER BY image_id")
    assert len(found) == sum(1 for _ in demo.EVALUATION.rglob("*.png"))
    with torch.no_grad():
        texts = model.get_text_features(**tokens)
    # The loop encodes the same texts again with each image, which is most of its time.
    monkeypatch.setattr(model, "get_text_features", lambda **_: texts)
    wrong = []
    for path, predicted, probability in found[::3]:
        image = Image.open(path).convert("RGBA")
        white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        with torch.no_grad():
            out = model(**tokens, **processor(images=white, return_tensors="pt"))
        chances = out.logits_per_image.softmax(dim=1)[0]
        if demo.CATEGORIES[int(chances.argmax())] != predicted or abs(float(chances.max()) - probability) > 1e-4:
            wrong.append((path, predicted))
    assert wrong == []


def test_the_demo_model_knows_realistic_images(evaluated: tuple[Store, Any]) -> None:
    store, encoder = evaluated
    run(store, from_names(demo.CATEGORIES), encoder, name="again", where="condition = 'realistic'")
    assert rows(store, "SELECT accuracy >= 0.9 FROM accuracy WHERE run = 'again'") == [(True,)]


def test_fashion_mnist_end_to_end(fashion_mnist: Path, clip_folder: Path, store: Store) -> None:
    """Its first 300 test images through index, classify and SQL, against the files themselves."""
    import gzip

    from shotdex.indexer.run import index_source
    from shotdex.media.sources import open_source
    from shotdex.media.sources.base import Candidate, Found, Source
    from shotdex.media.sources.idx import FASHION_MNIST
    from shotdex.models.transformers_encoder import EncoderOptions, load_encoder

    class First:
        """The source, cut short."""

        def __init__(self, source: Source) -> None:
            self._source = source

        def __getattr__(self, name: str) -> Any:
            return getattr(self._source, name)

        def scan(self) -> Iterator[Found]:
            found = (one for one in self._source.scan() if isinstance(one, Candidate))
            return islice((one for one in found if one.labels and one.labels.split == "test"), 300)

    encoder = load_encoder(str(clip_folder), EncoderOptions("cpu"))
    assert index_source(store, First(open_source(str(fashion_mnist))), encoder).added == 300
    made = run(store, from_names(FASHION_MNIST), encoder)
    assert (made.scored, made.unlabelled, made.outside) == (300, 0, 0)
    raw = gzip.decompress((fashion_mnist / "t10k-images-idx3-ubyte.gz").read_bytes())[16 : 16 + 300 * 784]
    labels = list(gzip.decompress((fashion_mnist / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:308])
    from PIL import Image

    images = [Image.frombytes("L", (28, 28), raw[i * 784 : (i + 1) * 784]).convert("RGB") for i in range(300)]
    vectors = np.concatenate([encoder.encode_images([image]) for image in images])
    best = (vectors @ encoder.encode_texts(FASHION_MNIST).T).argmax(axis=1)
    found = rows(store, "SELECT category, predicted FROM outcomes ORDER BY image_id")
    assert [category for category, _ in found] == [FASHION_MNIST[label] for label in labels]
    agree = np.mean([FASHION_MNIST[i] == predicted for i, (_, predicted) in zip(best, found, strict=True)])
    assert agree >= 0.99, "only near-ties of a random model may differ by what shares a batch"
    right = sum(category == predicted for category, predicted in found)
    assert rows(store, "SELECT n, correct FROM accuracy") == [(300, right)]


@pytest.mark.parametrize("gone", ["image_id = 1", "true"])
def test_vectors_that_go_while_the_model_is_loaded_are_no_silent_gap(many: Store, gone: str) -> None:
    def load(_: Any) -> FakeEncoder:
        with many.writing() as con:
            con.run(f"DELETE FROM vectors_1 WHERE {gone}")
        return FakeEncoder()

    with pytest.raises(StoreError, match="images were added or removed during classification"):
        classify(many, Classification(from_names(COLOURS)), load)
    with many.reading() as con:
        assert con.value("SELECT count(*) FROM runs") == 0
