"""The content of `scores.json` as a table: one row per loss, columns for folds, all and priors."""

from collections.abc import Mapping
from typing import Any


def score_rows(scores: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the losses of which the score is made, and `score`, last.

    >>> score_rows({"weighted_prior": {"score": 0.7, "first": 0.8, "second": 0.6}})
    ('first', 'second', 'score')
    """
    return (*(part for part in scores["weighted_prior"] if part != "score"), "score")


def score_columns(scores: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the losses by column: each fold, all folds, the prior, and the holdout if any.

    Args:
        scores: the content of `scores.json`; files of earlier versions have no holdout.

    Returns:
        The losses by column heading; only those of `score_rows` are shown.
    """
    columns = {f"fold {fold}": losses for fold, losses in scores["folds"].items()}
    columns |= {"all": scores, "prior": scores["weighted_prior"]}
    if held_out := scores.get("holdout"):
        columns |= {"held out": held_out, "its prior": held_out["weighted_prior"]}
    return columns
