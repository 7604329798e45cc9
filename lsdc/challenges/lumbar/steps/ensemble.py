"""The steps of an ensemble: from its members' results to scores and a submission."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.ensemble import (
    combine_predictions,
    find_members,
    find_predictions,
    fit_ensemble,
)
from lsdc.challenges.lumbar.stages.oof import score_oof, show_scores
from lsdc.challenges.lumbar.stages.submission import assemble_submission
from lsdc.challenges.lumbar.steps.prepare import deal_studies, read_test
from lsdc.store.manifest import Manifest
from tasks.common.catalog import publish_catalog
from tasks.common.prepared import BasePrepared
from tasks.run import note_results


@dataclass(frozen=True, kw_only=True)
class Gathered(BasePrepared):
    """The studies of a run, and what its members made of them.

    Attributes:
        members: the trained folds of each member.
        predictions: each member's predictions of the test studies; empty without these.
    """

    members: Mapping[str, Sequence[Manifest]]
    predictions: Mapping[str, Manifest]


def gather_members(run: LumbarRun, *, for_submission: bool = False) -> Gathered:
    """Deal the studies to folds, and find what the members made of the same ones."""
    index, folds = deal_studies(run)
    members = find_members(run, folds)
    test = read_test(run, index, folds) if for_submission and run.has_test else None
    predictions = {} if test is None else find_predictions(run, members, test)
    gathered = Gathered(
        index=index, folds=folds, test=test, members=members, predictions=predictions
    )
    publish_catalog(run, gathered.manifests, after="folds")
    note_results(run, [*gathered.manifests, *(fold for own in members.values() for fold in own)])
    return gathered


def combine_and_score(run: LumbarRun, gathered: Gathered) -> list[Manifest]:
    """Fit the ensemble to the members' out-of-fold predictions, and score it out of fold."""
    ensemble = fit_ensemble(run, gathered.folds, gathered.members)
    score_oof(run, gathered.folds, [ensemble])
    show_scores(run)
    return [ensemble]


def combine_and_assemble(run: LumbarRun, gathered: Gathered, trained: Sequence[Manifest]) -> None:
    """Combine the members' predictions of the test studies into the submission."""
    if gathered.test is None:  # no submission is wanted
        return
    (ensemble,) = trained
    predictions = combine_predictions(run, ensemble, gathered.predictions)
    assemble_submission(run, gathered.folds, predictions)
