"""Pipeline: the whole walk in one flow run, from DICOM files to a scored submission."""

from prefect import flow

from lsdc.challenges.current import (
    CurrentRun,
    predict_and_assemble,
    prepare_training,
    require_model_here,
    train_and_score,
)
from tasks.artifacts import shown
from tasks.dispatch import require_device_here
from tasks.identity import locked_experiment, require_needs
from tasks.interrupts import cancelled_when_interrupted
from tasks.open_flow_run import open_requested
from tasks.request import RunRequest, flow_parameters
from tasks.run import locked_home


@flow(
    name="pipeline",
    flow_run_name="pipeline-{experiment}",
)
@cancelled_when_interrupted
@flow_parameters(RunRequest)
def pipeline(request: RunRequest) -> None:
    """Take a competition from DICOM files to out-of-fold scores and a submission."""
    run = open_requested(CurrentRun, request)
    require_device_here(run)
    with shown(run), locked_experiment(run) as run, locked_home(run):
        require_needs(run)
        require_model_here(run)
        prepared = prepare_training(run, for_submission=True)
        trained = train_and_score(run, prepared)
        predict_and_assemble(run, prepared, trained)
