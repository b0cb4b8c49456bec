"""What people and other models reach on the same images, and how a run compares with them."""

from .compare import BaselineComparison, ConditionVerdict, compare_baseline

__all__ = ["BaselineComparison", "ConditionVerdict", "compare_baseline"]
