"""What a user should know of labels before they are written: which change, and which names of classes look wrong."""

from __future__ import annotations

import re
from collections import defaultdict

from shotdex.store.connection import Connection

SHOWN, CLASSES = 8, 10_000
"""Changes, and examples, that are named; classes whose names are compared."""


def label_changes(con: Connection) -> tuple[str, ...]:
    """Return, as a sentence, which labels of images that are indexed already will be others."""
    parts = []
    for label in ("category", "condition", "split"):
        rows = con.rows(
            f"SELECT old_{label}, {label}, count(*) FROM compared WHERE present "
            f"AND {label} IS DISTINCT FROM old_{label} AND {label} IS DISTINCT FROM nfc_normalize(old_{label}) "
            "GROUP BY ALL ORDER BY 3 DESC, 1, 2"
        )
        if rows:
            named = ", ".join(f"{old or 'none'} -> {new or 'none'} ({count:,})" for old, new, count in rows[:SHOWN])
            parts.append(f"{label} {named}" + (f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""))
    return (f"labels of indexed images change: {'; '.join(parts)}",) if parts else ()


def doubtful_names(con: Connection) -> tuple[str, ...]:
    """Return sentences on categories that are numbers, and on those that differ only in upper and lower case."""
    ours = f"SELECT DISTINCT category FROM candidates WHERE category IS NOT NULL LIMIT {CLASSES}"
    names = sorted(row[0] for row in con.rows(ours))
    everywhere = f"SELECT category FROM categories LIMIT {CLASSES}"
    spellings = defaultdict(set)
    for name in {*names, *(row[0] for row in con.rows(everywhere))}:
        spellings[name.casefold()].add(name)
    found = []
    alike = [" and ".join(sorted(each)) for each in (spellings[name.casefold()] for name in names) if len(each) > 1]
    alike = list(dict.fromkeys(alike))
    if alike:
        found.append(f"classes that differ only in upper and lower case are different classes: {_some(alike)}")
    if len(names) > 1 and all(re.fullmatch(r"-?[0-9]+", name) for name in names):
        numbers = _some(sorted(names, key=int))
        found.append(
            f"the categories are numbers ({numbers}); prompts with their names need [aliases] in a prompt file"
        )
    return tuple(found)


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
