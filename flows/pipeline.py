"""Pipeline: everything in one flow run, from raw files to scores and a submission."""

from prefect import flow

from lsdc.challenges.registry import challenge_of
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
    """Take a competition from raw files to out-of-fold scores, a submission and a report."""
    challenge = challenge_of(request)
    with opened(challenge.run, request) as run, locked_home(run):
        steps = challenge.steps
        require_needs(run)
        steps.require_model_here(run)
        prepared = steps.prepare_training(run, for_submission=True)
        trained = steps.train_and_score(run, prepared)
        steps.predict_and_assemble(run, prepared, trained)
        steps.report(run, prepared, trained)
