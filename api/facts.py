"""The part of a session that reads what is stored: everything about an image, vectors, and saved selections."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shotdex.store.errors import OptionError
from shotdex.store.types import Ids, Space, Vectors

from .opened import Opened
from .tabular import Records

if TYPE_CHECKING:
    from shotdex.models.own_encoder import AnyModel
    from shotdex.store.selections import Selection


class Facts(Opened):
    """Mixed into `Session`."""

    def image_facts(self, image_id: int) -> dict[str, Any] | None:
        """Return everything on record about a present image; None if the store has no such image.

        For each run, `runs` has the k best classes with cosine and probability, and the rank of the true class.

        >>> store.image_facts(1)["image_id"]
        1
        """
        with self.store.reading() as con:
            found = con.described("FROM images WHERE image_id = $id", parameters={"id": image_id})
            if not found[2]:
                return None
            facts = dict(zip(found[0], found[2][0], strict=True))
            facts["metadata"] = json.loads(facts["metadata"] or "{}")
            predictions = con.rows(
                "SELECT r.name, p.rank, p.category, p.prompt, p.cosine, p.probability, t.category, t.true_rank, "
                "t.true_cosine, t.true_probability FROM predictions p JOIN runs r USING (run_id) "
                "LEFT JOIN truths t USING (run_id, image_id) WHERE p.image_id = $id ORDER BY r.run_id, p.rank",
                {"id": image_id},
            )
        runs: dict[str, dict[str, Any]] = {}
        for name, rank, category, prompt, cosine, probability, *truth in predictions:
            known = dict(zip(("category", "true_rank", "true_cosine", "true_probability"), truth, strict=True))
            one = {"rank": rank, "category": category, "prompt": prompt, "cosine": cosine, "probability": probability}
            runs.setdefault(name, {"run": name, **known, "predictions": []})["predictions"].append(one)
        return facts | {"runs": list(runs.values())}

    def passing(self, where: str, seconds: float | None = None) -> Ids:
        """Return the sorted ids of the images that meet a SQL condition, which may take `seconds` (None: 300).

        Raises:
            BadSql: it is not a condition on the columns of `images`, or takes too long.

        >>> len(store.passing("category = 'duck'"))
        40
        """
        from shotdex.store.ids import filtered_ids

        with self.store.reading() as con:
            return filtered_ids(con, where, seconds)

    def vectors(
        self, *, where: str | None = None, space: str = "joint", model: AnyModel | None = None
    ) -> tuple[Ids, Vectors]:
        """Return the sorted image ids (N,), int64, and their vectors (N, D), float32.

        Args:
            where: a SQL condition on the columns of `images`.
            space: "joint" for unit vectors that are compared with texts, or "vision" for the image tower before its
                projection.
            model: one of the store's encoders, by name, number or object; required if there are several.

        >>> ids, vectors = store.vectors(where="category = 'hat'")
        >>> vectors.shape[0] == len(ids) == 40
        True
        """
        from shotdex.store.encoders import choose_encoder
        from shotdex.store.ids import encoded_ids
        from shotdex.store.vectors import load_vectors

        if space not in set(Space):
            raise OptionError(f"there is no space {space!r}", "choose joint or vision")
        named = self.encoders.recognised(model)
        with self.store.reading() as con:
            number, encoder = choose_encoder(con, named)
            ids = encoded_ids(con, number, where)
            return load_vectors(con, number, encoder, Space(space), ids)

    def _vectors_of(self, ids: Ids, space: Space, model: str | None) -> tuple[Ids, Vectors]:
        from shotdex.store.encoders import choose_encoder
        from shotdex.store.vectors import load_vectors

        with self.store.reading() as con:
            number, encoder = choose_encoder(con, model)
            return load_vectors(con, number, encoder, space, ids)

    def selections(self) -> Records[Selection]:
        """Return the selections saved with `SearchResult.save`, oldest first.

        >>> store.search("a hat", k=5).save("hats")
        >>> [(one.name, one.images) for one in store.selections()]
        [('hats', 5)]
        >>> len(store.search("red", where="@hats")), len(store.search(like="hats", k=3))
        (5, 3)
        >>> store.remove_selection("hats")
        """
        from shotdex.store.selections import Selection, list_selections

        with self.store.reading() as con:
            return Records(list_selections(con), Selection)

    def remove_selection(self, name: str) -> None:
        """Remove a saved selection, but not its images.

        Raises:
            OptionError: there is no selection of that name. StoreLocked.
        """
        from shotdex.store.selections import remove_selection

        with self.store.writing() as con:
            remove_selection(con, name)
