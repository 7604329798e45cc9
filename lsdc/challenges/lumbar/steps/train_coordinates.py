"""The flow that learns only the coordinates, for workers with a GPU."""

from prefect import flow

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.coordinates import learn_coordinates
from lsdc.challenges.lumbar.steps.prepare import STAGES, read_training, require_model_here
from tasks.interrupts import cancelled_when_interrupted, ended_with_the_flow
from tasks.request import SentRequest, flow_parameters, sent_field
from tasks.reschedule import rescheduled_if_busy
from tasks.run import note_so_far
from tasks.session import locked_home, opened
from tasks.versions import require_versions


class CoordinatesRequest(SentRequest):
    """The parameters of a run that learns only the coordinates."""

    tries_model: bool = sent_field(
        False, "Check first that the weights and the device of the folds' models are available."
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
    """Learn the coordinates of an experiment, with small models for each fold."""
    require_versions(request.versions, STAGES)
    with (
        rescheduled_if_busy() as timeout,
        opened(LumbarRun, request, wait=False) as run,
        locked_home(run, timeout=timeout),
        ended_with_the_flow(),
    ):
        if request.tries_model:
            require_model_here(run)
        coordinates = learn_coordinates(run, *read_training(run))
        note_so_far(run, coordinates)
