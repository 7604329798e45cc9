"""Submit: the test studies through the same code, to a row for every row id."""

from prefect import flow

from lsdc.challenges.current import (
    CurrentRun,
    predict_and_assemble,
    prepare_training,
    require_model_here,
    train_and_score,
)
from lsdc.errors import DataError
from tasks.artifacts import shown
from tasks.dispatch import require_device_here
from tasks.identity import locked_experiment, require_needs
from tasks.interrupts import cancelled_when_interrupted
from tasks.open_flow_run import open_requested
from tasks.request import RunRequest, flow_parameters
from tasks.run import locked_home


@flow(name="submit", flow_run_name="submit-{experiment}")
@cancelled_when_interrupted
@flow_parameters(RunRequest, without=("only_fold",))
def submit(request: RunRequest) -> None:
    """Predict the test studies with an experiment's folds; trains what is missing."""
    run = open_requested(CurrentRun, request)
    require_device_here(run)
    with shown(run), locked_experiment(run) as run, locked_home(run):
        require_needs(run)
        require_model_here(run)
        prepared = prepare_training(run, for_submission=True)
        if prepared.test is None:
            raise DataError(
                f"{run.data}: no sample_submission.csv, which names the rows to predict"
            )
        trained = train_and_score(run, prepared)
        predict_and_assemble(run, prepared, trained)
