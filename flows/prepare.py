"""Prepare: DICOM files to crops, with folds fixed before anything learns."""

from prefect import flow

from lsdc.challenges.current import CurrentRun, prepare_training
from tasks.artifacts import shown
from tasks.dispatch import require_device_here
from tasks.identity import locked_experiment
from tasks.interrupts import cancelled_when_interrupted
from tasks.open_flow_run import open_requested
from tasks.request import RunRequest, flow_parameters
from tasks.run import locked_home


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
    """Take the training studies from DICOM files to crops, with folds fixed first."""
    run = open_requested(CurrentRun, request)
    require_device_here(run)
    with shown(run), locked_experiment(run) as run, locked_home(run):
        prepare_training(run, for_training=False)
