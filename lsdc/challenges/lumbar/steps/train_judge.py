"""The flow that trains one judge of labels, for workers with a GPU."""

from prefect import flow

from lsdc.challenges.lumbar.run import LumbarRun, Pair
from lsdc.challenges.lumbar.steps.prepare import STAGES, prepare_training, require_model_here
from lsdc.challenges.lumbar.steps.train import judge_jobs
from tasks.common.trainings import train_in_parallel
from tasks.interrupts import cancelled_when_interrupted, ended_with_the_flow
from tasks.request import SentRequest, flow_parameters, sent_field
from tasks.reschedule import rescheduled_if_busy
from tasks.session import locked_home, opened
from tasks.versions import require_versions


class JudgeRequest(SentRequest):
    """The parameters of a run that trains one judge."""

    pair: Pair = sent_field((0, 1), "The two folds whose labels the model judges.")


@flow(name="train-judge", flow_run_name="train-judge-{pair[0]}-{pair[1]}-{experiment}")
@cancelled_when_interrupted
@flow_parameters(JudgeRequest, without=("only_fold",))
def train_judge(request: JudgeRequest) -> None:
    """Train a model without two folds, which judges their labels."""
    require_versions(request.versions, STAGES)
    with rescheduled_if_busy() as timeout, opened(LumbarRun, request, wait=False) as run:
        run = run.model_copy(update={"only_judge": request.pair})
        with locked_home(run, timeout=timeout), ended_with_the_flow():
            require_model_here(run)
            prepared = prepare_training(run)
        train_in_parallel(run, judge_jobs(run, prepared))
