"""Pipeline: everything in one flow run, from DICOM files to scores and a submission."""

from prefect import flow

from lsdc.challenges.current import (
    CurrentRun,
    predict_and_assemble,
    prepare_training,
    report,
    require_model_here,
    train_and_score,
)
from tasks.identity import require_needs
from tasks.interrupts import cancelled_when_interrupted
from tasks.request import RunRequest, flow_parameters
from tasks.session import locked_home, opened


@flow(
    name="pipeline",
    flow_run_name="pipeline-{experiment}",
)
@cancelled_when_interrupted
@flow_parameters(RunRequest)
def pipeline(request: RunRequest) -> None:
    """Take a competition from DICOM files to out-of-fold scores, a submission and a report."""
    with opened(CurrentRun, request) as run, locked_home(run):
        require_needs(run)
        require_model_here(run)
        prepared = prepare_training(run, for_submission=True)
        trained = train_and_score(run, prepared)
        predict_and_assemble(run, prepared, trained)
        report(run, prepared, trained)
