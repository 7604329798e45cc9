"""What a reader has to know before using a run's score."""

from lsdc.challenges.hemorrhage.report.figures.scored import Scored
from lsdc.challenges.hemorrhage.report.figures.sources import RunSource
from lsdc.challenges.hemorrhage.scoring.complete import describe_filled


def warnings_of(source: RunSource) -> list[str]:
    """Return a sentence for each mark of a run's scores, and for images without predictions."""
    found = []
    if source.scores.get("partial"):
        scored = ", ".join(map(str, source.scored.folds))
        found.append(f"{source.name} is partial: only the images of fold {scored} are scored.")
    if source.scores.get("selected"):
        found.append(
            f"{source.name} chose its epochs on the scored folds, so its score is too good."
        )
    if source.scores.get("leaky"):
        found.append(
            f"{source.name} is leaky: its folds hold out single images, so each model was trained "
            "on other slices of the patients that it is scored on. The score is too good, and no "
            "estimate for new patients."
        )
    found += [
        f"{source.name}, {line}. These predictions are scored, too."
        for line in describe_filled({"the out-of-fold table": source.filled})
    ]
    return found


def warn_of_prior(scored: Scored) -> list[str]:
    """Return a sentence if predictions are no better than the prior; else none."""
    if scored.score.score < scored.prior.score:
        return []
    return [f"{scored.name} is worse than the prior, which predicts the same for every slice."]
