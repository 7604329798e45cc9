"""Submit: predict the test studies, and write a row for every row id."""

from prefect import flow

from lsdc.challenges.registry import challenge_of
from lsdc.errors import DataError
from tasks.identity import require_needs
from tasks.interrupts import cancelled_when_interrupted
from tasks.request import RunRequest, flow_parameters
from tasks.session import locked_home, opened


@flow(name="submit", flow_run_name="submit-{experiment}")
@cancelled_when_interrupted
@flow_parameters(RunRequest, without=("only_fold",))
def submit(request: RunRequest) -> None:
    """Train the folds that are missing, and predict the test studies with all folds."""
    challenge = challenge_of(request)
    with opened(challenge.run, request) as run, locked_home(run):
        steps = challenge.steps
        require_needs(run)
        steps.require_model_here(run)
        prepared = steps.prepare_training(run, for_submission=True)
        if prepared.test is None:
            raise DataError(
                f"{run.data}: no rows in {challenge.sample_submission}, expected the rows to "
                "predict; add the competition's file"
            )
        trained = steps.train_and_score(run, prepared)
        steps.predict_and_assemble(run, prepared, trained)
        steps.report(run, prepared, trained)
