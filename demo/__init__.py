"""The small model, images and prompt sets that ship with the package, by path."""

from pathlib import Path

HERE = Path(__file__).resolve().parent

MODEL = HERE / "model"
"""A small CLIP trained on emoji art, in the hub's file layout; the name `demo` stands for it."""

GALLERY = HERE / "pictures" / "gallery"
"""About 1,900 distinct emoji in one drawing style, for text search."""

EVALUATION = HERE / "pictures" / "evaluation"
"""Eight categories in five viewing conditions, as `<condition>/<Category><something>.png`."""

PROMPTS = HERE / "prompts"
"""Prompt sets as TOML files."""

BENCHMARKS = HERE / "benchmarks" / "published.toml"
"""Published zero-shot accuracies, with the prompt sets that they were measured with next to it."""

BASELINES = HERE / "baselines"
"""What people and other models reach, as CSV files."""

CATEGORIES = ("airplane", "car", "chair", "cup", "dog", "donkey", "duck", "hat")
"""The categories of the evaluation images, in the order of the study they follow."""

CONDITIONS = ("realistic", "silhouettes", "geons", "blurred", "features")
"""The viewing conditions of the evaluation images."""
