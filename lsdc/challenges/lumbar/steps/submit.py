"""The steps from the test studies to the submission."""

from collections.abc import Sequence

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.coordinates import locate_test
from lsdc.challenges.lumbar.stages.crops import cut_crops
from lsdc.challenges.lumbar.stages.sides import fix_sides
from lsdc.challenges.lumbar.stages.submission import assemble_submission, predict_test
from lsdc.challenges.lumbar.steps.prepare import Prepared
from lsdc.store.manifest import Manifest
from tasks.common.catalog import publish_catalog
from tasks.dispatch import for_own_stages
from tasks.run import note_results, note_so_far


def predict_and_assemble(run: LumbarRun, prepared: Prepared, trained: Sequence[Manifest]) -> None:
    """Process the test studies from their index to the submission."""
    here, index = for_own_stages(run), prepared.test
    if index is None:  # no submission is wanted
        return
    coordinates = locate_test(here, index, prepared.coordinates)
    note_so_far(run, coordinates)
    sides = fix_sides(run, "test", index, coordinates)
    note_so_far(run, sides)
    crops = cut_crops(run, "test", index, coordinates, sides)
    note_so_far(run, crops)
    predictions = predict_test(here, index, crops, trained)
    assemble_submission(run, prepared.folds, predictions)
    results = [*prepared.manifests, coordinates, sides, crops]
    publish_catalog(run, results, after="submission")
    note_results(run, results)
