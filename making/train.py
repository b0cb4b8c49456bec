"""Train the demonstration model, stage by stage: python -m making.train --stage teacher --minutes 20.

Stages, in order: teacher, student, text, joint, export. Each resumes from its checkpoint in the cache folder. The seeds
are fixed, but a stage lasts so many minutes, so how far it comes depends on the machine.
"""

import argparse
from pathlib import Path

from .export import export
from .pictures import load_pictures
from .together import join
from .train_joint import train_joint
from .train_student import train_student
from .train_teacher import train_teacher
from .train_text import train_text


def main() -> None:
    """Parse the command line and run one stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", required=True, choices=["teacher", "student", "text", "joint", "export"])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--cache", type=Path, default=Path(".making"))
    arguments = parser.parse_args()
    join()
    pictures = load_pictures(arguments.cache)
    stages = {"teacher": train_teacher, "student": train_student, "text": train_text, "joint": train_joint}
    if arguments.stage == "export":
        export(pictures, arguments.cache)
    else:
        stages[arguments.stage](pictures, arguments.cache, arguments.minutes)


if __name__ == "__main__":
    main()
