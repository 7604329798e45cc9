"""The notebook of a bundle: three cells that make a submission on Kaggle."""

import json
from collections.abc import Sequence
from typing import Any

BUNDLE = "/kaggle/input/lsdc-bundle"
COMPETITION = "/kaggle/input/rsna-2024-lumbar-spine-degenerative-classification"
_CELLS = (
    f"""\
# Attach the competition, and the bundle as a dataset, to the notebook; switch the internet off.
# "!ls /kaggle/input /kaggle/input/*" shows where they are.
BUNDLE = "{BUNDLE}"
TEST = "{COMPETITION}"
""",
    """\
# Write submission.csv: at first with the prior in all rows, then with the predictions.
# Read the line "... studies of ... predicted from images": the others have the prior.
!python {BUNDLE}/predict.py {TEST} --out submission.csv
""",
    """\
# Look at it, then choose 'Submit'.
import polars
polars.read_csv("submission.csv")
""",
)


def notebook_text(runs: Sequence[str]) -> str:
    """Return a notebook (nbformat 4) that predicts the competition's test set with a bundle."""
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": source.rstrip("\n").splitlines(keepends=True),
        }
        for number, source in enumerate(_CELLS)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells,
        "metadata": {
            "kernelspec": kernel,
            "language_info": {"name": "python"},
            "title": f"lsdc: {', '.join(runs)}",
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1) + "\n"
