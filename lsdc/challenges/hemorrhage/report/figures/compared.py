"""Several runs: which images and folds they share, and how they differ."""

from collections.abc import Sequence

from lsdc.challenges.hemorrhage.report.figures.scored import Scored, common_images
from lsdc.challenges.hemorrhage.scoring.bootstrap import bootstrap
from lsdc.scoring.compared import Compared, Nouns, compare_scored

_NOUNS = Nouns(row="image", dealt="image", key="image_id", held_out="patients", images="images")
_WITHOUT_PATIENTS = (
    "The patients of the images are not known here, so there are no intervals: slices of one "
    "patient are alike, and intervals of single images would be too narrow."
)


def compare(given: Sequence[Scored]) -> Compared[Scored]:
    """Compare runs on their common images; works for a single run, too.

    Raises:
        DataError: runs have no image in common, or different labels.
    """
    same = common_images(given) if len(given) > 1 else [*given]
    if not same[0].has_patients:
        return compare_scored(given, same, None, _NOUNS, [_WITHOUT_PATIENTS])
    return compare_scored(given, same, bootstrap([each.rows for each in same]), _NOUNS)
