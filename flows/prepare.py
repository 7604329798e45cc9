"""Prepare: make what models see from the images; folds are assigned before any training."""

from prefect import flow

from lsdc.challenges.registry import challenge_of
from tasks.interrupts import cancelled_when_interrupted
from tasks.request import RunRequest, flow_parameters
from tasks.session import locked_home, opened


@flow(name="prepare", flow_run_name="prepare-{experiment}")
@cancelled_when_interrupted
@flow_parameters(
    RunRequest,
    without=(
        "only_fold",
        "weights",
    ),
)
def prepare(request: RunRequest) -> None:
    """Assign the training studies to folds, and make what models see from the images."""
    challenge = challenge_of(request)
    with opened(challenge.run, request) as run, locked_home(run):
        challenge.steps.prepare_training(run, for_training=False)
