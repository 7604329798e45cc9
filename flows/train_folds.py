"""Train folds: one model per fold, and the out-of-fold score."""

from prefect import flow

from lsdc.challenges.registry import challenge_of
from tasks.identity import require_needs
from tasks.interrupts import cancelled_when_interrupted, ended_with_the_flow
from tasks.request import FoldRequest, RunRequest, flow_parameters
from tasks.reschedule import rescheduled_if_busy
from tasks.session import locked_home, opened
from tasks.versions import require_versions


@flow(name="train-folds", flow_run_name="train-folds-{experiment}")
@cancelled_when_interrupted
@flow_parameters(RunRequest)
def train_folds(request: RunRequest) -> None:
    """Prepare what is missing, train every fold, and compute the out-of-fold score."""
    challenge = challenge_of(request)
    with opened(challenge.run, request) as run, locked_home(run):
        steps = challenge.steps
        require_needs(run)
        steps.require_model_here(run)
        prepared = steps.prepare_training(run)
        steps.report(run, prepared, steps.train_and_score(run, prepared))


@flow(name="train-fold", flow_run_name="train-fold-{fold}-{experiment}")
@cancelled_when_interrupted
@flow_parameters(FoldRequest, without=("only_fold",))
def train_fold(request: FoldRequest) -> None:
    """Prepare what is missing, and train one fold of an experiment."""
    challenge = challenge_of(request)
    steps = challenge.steps
    require_versions(request.versions, steps.STAGES)
    request = request.model_copy(update={"only_fold": request.fold})
    with rescheduled_if_busy() as timeout, opened(challenge.run, request, wait=False) as run:
        with locked_home(run, timeout=timeout), ended_with_the_flow():
            require_needs(run)
            steps.require_model_here(run)
            prepared = steps.prepare_folds(run)
        steps.train_here(run, prepared)  # other folds are trained at the same time
