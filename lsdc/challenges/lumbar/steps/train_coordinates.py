"""The flow that learns coordinates alone, for workers that have a GPU."""

from prefect import flow

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.coordinates import learn_coordinates
from lsdc.challenges.lumbar.steps.prepare import STAGES, read_training, require_model_here
from tasks.artifacts import shown
from tasks.dispatch import require_device_here
from tasks.identity import locked_experiment
from tasks.interrupts import cancelled_when_interrupted, ended_with_the_flow
from tasks.open_flow_run import open_requested
from tasks.request import SentRequest, flow_parameters, sent_field
from tasks.run import locked_home, note_so_far
from tasks.versions import require_versions


class CoordinatesRequest(SentRequest):
    """The parameters of a run that learns coordinates."""

    tries_model: bool = sent_field(
        False, "Refuse first of all if weights or device of the folds' models are not here."
    )


@flow(name="train-coordinates", flow_run_name="train-coordinates-{experiment}")
@cancelled_when_interrupted
@flow_parameters(
    CoordinatesRequest,
    without=(
        "only_fold",
        "weights",
    ),
)
def train_coordinates(request: CoordinatesRequest) -> None:
    """Learn the coordinates of an experiment, a small model a fold."""
    require_versions(request.versions, STAGES)
    run = open_requested(LumbarRun, request)
    require_device_here(run)
    with (
        shown(run),
        locked_experiment(run, wait=False) as run,
        locked_home(run),
        ended_with_the_flow(),
    ):
        if request.tries_model:
            require_model_here(run)
        coordinates = learn_coordinates(run, *read_training(run))
        note_so_far(run, coordinates)
