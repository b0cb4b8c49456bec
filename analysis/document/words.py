"""Numbers and comparisons in words: one sentence each, with n, interval and test."""

from __future__ import annotations

from math import isnan

from shotdex.analysis.baselines.compare import ConditionVerdict
from shotdex.analysis.compare import Comparison
from shotdex.analysis.stats.proportions import Verdict
from shotdex.store.baselines import OVERALL
from shotdex.store.types import Estimate

LEVEL = 0.05
"""The adjusted p value below which two runs are called different."""


def number(value: float) -> str:
    """Return a share to three digits, "-" where it is undefined."""
    return "-" if isnan(value) else f"{value:.3f}"


def interval(estimate: Estimate) -> str:
    """Return a 95 % interval, "-" where it is not known."""
    return "-" if isnan(estimate.low) else f"{estimate.low:.3f} to {estimate.high:.3f}"


def signed(difference: Estimate) -> str:
    """Return a difference with its sign and its 95 % interval."""
    if isnan(difference.value):
        return "-"
    bounds = "" if isnan(difference.low) else f" [{difference.low:+.3f}, {difference.high:+.3f}]"
    return f"{difference.value:+.3f}{bounds}"


def p_value(value: float) -> str:
    """Return a p value to three digits; below one in a million it is no more precise than that."""
    if isnan(value):
        return "-"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}" if value >= 1e-6 else "< 1e-6"


def is_p(value: float) -> str:
    """Return `p = 0.012`, or `p < 1e-6`."""
    said = p_value(value)
    return f"p {said}" if said.startswith("<") else f"p = {said}"


def count(n: int, what: str) -> str:
    """Return a number of things, such as `1 image` or `2,231 images`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def joined(names: list[str] | tuple[str, ...]) -> str:
    """Return names as a list in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def accuracy_sentence(run: str, estimate: Estimate, classes: int) -> str:
    """Return what a run reaches, compared with chance."""
    right, chance = round(estimate.value * estimate.n), 1 / classes
    against = (
        "better than"
        if estimate.low > chance
        else "worse than"
        if estimate.high < chance
        else "not distinguishable from"
    )
    return (
        f"The run “{run}” classifies {right:,} of {estimate.n:,} images correctly: accuracy@1 is "
        f"{number(estimate.value)} (95 % interval {interval(estimate)}), which is {against} choosing "
        f"one of the {classes:,} classes at random ({number(chance)})."
    )


def baseline_sentence(run: str, baseline: str, row: ConditionVerdict) -> str:
    """Return how a run compares with a baseline in one condition."""
    where = "Over all images" if row.condition == OVERALL else f"In the condition {row.condition}"
    how = {
        Verdict.BETTER: "better than",
        Verdict.WORSE: "worse than",
        Verdict.UNCLEAR: "not distinguishable from",
    }[row.verdict]
    alone = ", counting only the run's uncertainty" if isnan(row.baseline.low) else ""
    return (
        f"{where} the run “{run}” ({number(row.model.value)}, n = {row.model.n:,}) is {how} the baseline “{baseline}” "
        f"({number(row.baseline.value)}): the difference is {signed(row.difference)}{alone}."
    )


def comparison_sentence(row: Comparison) -> str:
    """Return how two runs compare on the images that both evaluated."""
    where = "" if row.group == OVERALL else f" of the group {row.group}"
    some = f" of {row.of:,}" if row.group == OVERALL and row.a.n < row.of else ""
    apart = row.adjusted < LEVEL and not isnan(row.difference.value) and row.difference.value != 0
    better = row.name_b if row.difference.value > 0 else row.name_a
    verdict = f", so “{better}” is better" if apart else ", so the two are not distinguishable"
    holm = f", adjusted by Holm's method {p_value(row.adjusted)}" if row.adjusted != row.p_value else ""
    if not row.same_classes:
        verdict = "; they chose among different classes, so this does not say which is better"
    return (
        f"On the {row.a.n:,}{some} images{where} that both evaluated, “{row.name_a}” reaches {number(row.a.value)} and "
        f"“{row.name_b}” {number(row.b.value)}: a difference of {signed(row.difference)}. {count(row.only_a, 'image')} "
        f"{'is' if row.only_a == 1 else 'are'} right only in “{row.name_a}” and {row.only_b:,} only in “{row.name_b}” "
        f"({row.test}; {is_p(row.p_value)}{holm}){verdict}."
    )
