"""What `scores.json` holds, as a table shows it: a row a loss, a column a fold and the like."""

from collections.abc import Mapping
from typing import Any

from lsdc.challenges.lumbar.scoring.metric import PARTS

ROWS = (*PARTS, "score")


def score_columns(scores: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The losses by column: a fold each, all folds, the prior; then of held-out studies, if any.

    Args:
        scores: the content of `scores.json`; what earlier versions wrote holds nothing out.

    Returns:
        By heading the losses, of which those of ROWS are shown.
    """
    columns = {f"fold {fold}": losses for fold, losses in scores["folds"].items()}
    columns |= {"all": scores, "prior": scores["weighted_prior"]}
    if held_out := scores.get("holdout"):
        columns |= {"held out": held_out, "its prior": held_out["weighted_prior"]}
    return columns
