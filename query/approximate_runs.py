"""How predictions would change if a class's images were looked up through cells: why classification never does so."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from shotdex.store.cells import Cells, Changed
from shotdex.store.columns import texts as text_column
from shotdex.store.columns import to_arrow
from shotdex.store.connection import Connection
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.scan import Rows
from shotdex.store.store import Store
from shotdex.store.texts import remembered_texts
from shotdex.store.words import Combine, PromptSet, Vectors

_LATEST = "SELECT max(run_id) FROM runs WHERE encoder_id = $encoder GROUP BY prompt_set_id ORDER BY 1"
_FOUND = """
    SELECT count(*), count(s.cell) FROM predictions p JOIN cell_of c USING (image_id)
    LEFT JOIN looked_into s ON s.category = p.category AND s.cell = c.cell AND (s.prompt = '' OR s.prompt = p.prompt)
    WHERE p.run_id = $run AND p.rank = 1
"""


def changed_predictions(store: Store, encoder_id: int, cells: Cells, rows: Rows) -> tuple[Changed, ...]:
    """Count, for the latest run of each prompt set, the rank-1 predictions that would be others.

    A class finds the images in the cells nearest to its vector, all of them. The class that wins exhaustively wins
    among those that find the image if it finds it itself; so an image changes where it does not. Runs whose texts the
    store no longer remembers are left out.
    """
    of_rows = cells.of_rows()
    place = pa.table({"image_id": to_arrow(rows.ids[: len(of_rows)]), "cell": to_arrow(of_rows)})
    counted = []
    with store.reading() as con, con.holding("cell_of", place):
        for (run,) in con.rows(_LATEST, {"encoder": encoder_id}):
            name, number = con.rows("SELECT name, prompt_set_id FROM runs WHERE run_id = $run", {"run": run})[0]
            looked_into = _looked_into(con, encoder_id, cells, load_prompt_set(con, number))
            if looked_into is None:
                continue
            with con.holding("looked_into", looked_into):
                images, found = con.rows(_FOUND, {"run": run})[0]
            counted.append(Changed(name, images, images - found))
    return tuple(counted)


def _looked_into(con: Connection, encoder_id: int, cells: Cells, prompts: PromptSet) -> pa.Table | None:
    """Return the cells that each class looks into; with the best prompt of each class, those of each prompt."""
    wanted = list(dict.fromkeys(text for texts in prompts.classes.values() for text in texts))
    vectors = remembered_texts(con, encoder_id, wanted)
    if len(vectors) < len(wanted):
        return None
    asked = list(_asked(prompts, vectors))
    found = [cells.nearest(vector)[: cells.probes].astype(np.int64) for _, _, vector in asked]
    return pa.table(
        {
            "category": text_column([category for category, _, _ in asked for _ in range(cells.probes)]),
            "prompt": text_column([prompt for _, prompt, _ in asked for _ in range(cells.probes)]),
            "cell": to_arrow(np.concatenate(found)),
        }
    )


def _asked(prompts: PromptSet, vectors: dict[str, Vectors]) -> Iterator[tuple[str, str, Vectors]]:
    """Yield class, prompt (empty where they make one vector) and vector (D,)."""
    for category, texts in prompts.classes.items():
        if prompts.combine is Combine.MAX:
            yield from ((category, text, vectors[text]) for text in dict.fromkeys(texts))
        else:
            units = [vectors[text] / np.linalg.norm(vectors[text]) for text in texts]
            yield category, "", np.mean(units, axis=0)
