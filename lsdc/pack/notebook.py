"""The notebook of a bundle: three cells that make a submission on Kaggle."""

import json
from collections.abc import Sequence
from typing import Any

_BUNDLE = "/kaggle/input/lsdc-bundle"
_CELLS = (
    """\
# Attach the competition, and the bundle as a dataset, to the notebook; switch the internet off.
# "!ls /kaggle/input /kaggle/input/*" shows where they are.
BUNDLE = "{bundle}"
TEST = "{test}"
""",
    """\
# Write submission.csv: at first with the prior in all rows, then with the predictions.
# Read the line "... of ... predicted from images": the others have the prior.
!python {BUNDLE}/predict.py {TEST} --out submission.csv
""",
    """\
# Look at it, then choose 'Submit'.
import polars
polars.read_csv("submission.csv")
""",
)


def notebook_text(runs: Sequence[str], competition: str) -> str:
    """Return a notebook (nbformat 4) that predicts the competition's test set with a bundle.

    Args:
        runs: the names of the runs, for its title.
        competition: the folder of the competition's data.
    """
    places, *others = _CELLS
    sources = [places.format(bundle=_BUNDLE, test=competition), *others]
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": source.rstrip("\n").splitlines(keepends=True),
        }
        for number, source in enumerate(sources)
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
