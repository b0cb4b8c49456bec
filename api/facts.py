"""The part of a session that reads what is not kept: everything about an image, and what a condition keeps."""

from __future__ import annotations

import json
from typing import Any

from shotdex.store.types import Ids

from .opened import Opened


class Facts(Opened):
    """Mixed into `Session`."""

    def image_facts(self, image_id: int) -> dict[str, Any] | None:
        """Return everything on record about a present image; None if the store has no such image.

        `runs` has for each run its k best classes with cosine and probability, and the rank of the true class.

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
        """Return the ids of the images that a SQL condition keeps, rising; it may take `seconds`, 300 if None.

        Raises:
            BadSql: it is not a condition on the columns of `images`, or takes too long.

        >>> len(store.passing("category = 'duck'"))
        40
        """
        from shotdex.store.ids import filtered_ids

        with self.store.reading() as con:
            return filtered_ids(con, where, seconds)
