"""The steps from the test fragments to the submission."""

from collections.abc import Sequence

from lsdc.challenges.ink.run import InkRun
from lsdc.challenges.ink.stages.maps import predict_test
from lsdc.challenges.ink.stages.submission import assemble_submission
from lsdc.challenges.ink.stages.volumes import prepare_volumes
from lsdc.challenges.ink.steps.prepare import Prepared
from lsdc.store.manifest import Manifest
from tasks.common.catalog import publish_catalog
from tasks.dispatch import for_own_stages
from tasks.run import note_results, note_so_far


def predict_and_assemble(run: InkRun, prepared: Prepared, trained: Sequence[Manifest]) -> None:
    """Prepare the test fragments, predict their maps, and write the submission."""
    if prepared.test is None:  # no submission is wanted
        return
    volumes = prepare_volumes(run, "test", prepared.test)
    note_so_far(run, volumes)
    maps = predict_test(for_own_stages(run), volumes, prepared.folds, trained)
    assemble_submission(run, volumes, maps)
    results = [*prepared.manifests, volumes]
    publish_catalog(run, results, after="submission")
    note_results(run, results)
