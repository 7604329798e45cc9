"""The steps from the test images to the submission."""

from collections.abc import Sequence

from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.challenges.hemorrhage.stages.slices import prepare_slices
from lsdc.challenges.hemorrhage.stages.submission import assemble_submission, predict_test
from lsdc.challenges.hemorrhage.steps.prepare import Prepared
from lsdc.challenges.hemorrhage.steps.train import split_models
from lsdc.store.manifest import Manifest
from tasks.common.catalog import publish_catalog
from tasks.dispatch import for_own_stages
from tasks.run import note_results, note_so_far


def predict_and_assemble(
    run: HemorrhageRun, prepared: Prepared, trained: Sequence[Manifest]
) -> None:
    """Process the test images from their index to the submission."""
    if prepared.test is None:  # no submission is wanted
        return
    slices = prepare_slices(run, "test", prepared.test)
    note_so_far(run, slices)
    predictions = predict_test(for_own_stages(run), slices, *split_models(run, trained))
    assemble_submission(run, prepared.test, prepared.folds, predictions)
    results = [*prepared.manifests, slices]
    publish_catalog(run, results, after="submission")
    note_results(run, results)
