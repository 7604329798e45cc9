"""Prepare: make the crops from the DICOM files; folds are assigned before any training."""

from prefect import flow

from lsdc.challenges.current import CurrentRun, prepare_training
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
    """Assign the training studies to folds, and make their crops from the DICOM files."""
    with opened(CurrentRun, request) as run, locked_home(run):
        prepare_training(run, for_training=False)
