"""Results from elsewhere, to set beside the ladder: a number with a name, or an imported baseline."""

from __future__ import annotations

from dataclasses import replace
from math import nan

from shotdex.analysis.inference.wilson import wilson
from shotdex.store.baselines import OVERALL, WITHOUT_INTERVAL, find_baseline
from shotdex.store.connection import Connection
from shotdex.store.errors import SettingsError
from shotdex.store.words import Estimate


def outside_result(con: Connection, text: str) -> tuple[str, str, Estimate]:
    """Return name, source and accuracy of a result from elsewhere.

    `NAME=VALUE:N` is an accuracy over N images, with its Wilson interval (of the nearest whole number right);
    `NAME=VALUE` one of which no more is known: its bounds are NaN and its n is 0. A NAME alone is that of an imported
    baseline, of which the accuracy over all conditions is taken.

    Raises:
        SettingsError: a text that is none of these, a value that is no share, or no such baseline.
    """
    name, equals, number = text.rpartition("=")
    if not equals:
        return _baseline(con, text)
    value_text, colon, n_text = number.partition(":")
    try:
        value, n = float(value_text), int(n_text) if colon else 0
    except ValueError:
        raise _unreadable(text) from None
    if not name.strip() or (colon and n < 1):
        raise _unreadable(text)
    if not 0 <= value <= 1:
        raise SettingsError(f"{value_text} in {text!r} is no share", "write 91.9 % as 0.919")
    return name.strip(), "reported", _estimate(value, n)


def _estimate(value: float, n: int) -> Estimate:
    if n == 0:
        return Estimate(value, nan, nan, 0, WITHOUT_INTERVAL)
    return replace(wilson(round(value * n), n), value=value)


def _unreadable(text: str) -> SettingsError:
    return SettingsError(f"cannot read the result {text!r}", "write it as --outside 'NAME=VALUE' or 'NAME=VALUE:N'")


def _baseline(con: Connection, name: str) -> tuple[str, str, Estimate]:
    baseline = find_baseline(con, name)
    if OVERALL not in baseline.accuracies:
        known = ", ".join(baseline.accuracies)
        raise SettingsError(
            f"the baseline {baseline.name!r} has no accuracy over all conditions; it has {known}",
            f"say the number that fits the test images: --outside '{baseline.name}=VALUE:N'",
        )
    return baseline.name, baseline.source, baseline.accuracies[OVERALL]
