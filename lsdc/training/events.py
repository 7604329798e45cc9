"""Events: progress reports of a child process, as typed lines of JSON."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class BaseEvent(BaseModel):
    """Something that happened in a child process."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    @property
    def share(self) -> float | None:
        """The fraction of the work that is done; None if the event has none."""
        return None

    @property
    def words(self) -> list[str]:
        """Short texts for display, the most important first; empty to keep those shown."""
        return []


class StepDone(BaseEvent):
    """An optimiser step has finished; steps and epochs count from 1."""

    kind: Literal["step"] = "step"
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    learning_rate: float
    gradient_norm: float

    @property
    def share(self) -> float:
        """The fraction of all steps of all epochs."""
        return (self.epoch - 1 + self.step / self.steps) / self.epochs

    @property
    def words(self) -> list[str]:
        """The epoch and loss."""
        return [f"epoch {self.epoch}/{self.epochs}", f"loss {self.loss:.3f}"]


class EpochDone(BaseEvent):
    """An epoch has finished and is scored."""

    kind: Literal["epoch"] = "epoch"
    epoch: int
    epochs: int
    loss: float
    validation_loss: float
    score: float

    @property
    def share(self) -> float:
        """The fraction of all epochs."""
        return self.epoch / self.epochs

    @property
    def words(self) -> list[str]:
        """The epoch, loss and score."""
        epoch = f"epoch {self.epoch}/{self.epochs}"
        return [epoch, f"loss {self.loss:.3f}", f"score {self.score:.3f}"]


class Predicting(BaseEvent):
    """A batch was predicted, after one epoch or all; loss and score stay on display."""

    kind: Literal["predicting"] = "predicting"
    epoch: int
    epochs: int

    @property
    def share(self) -> float:
        """The fraction of all epochs."""
        return self.epoch / max(self.epochs, 1)


class Resumed(BaseEvent):
    """A training resumes after these epochs, each with epoch, loss, validation_loss and score."""

    kind: Literal["resumed"] = "resumed"
    past: tuple[dict[str, float], ...]

    @property
    def words(self) -> list[str]:
        """The epoch it resumes from."""
        return [f"resumes from epoch {len(self.past) + 1}"]


class Paused(BaseEvent):
    """A training is paused while a file exists."""

    kind: Literal["paused"] = "paused"
    by: str

    @property
    def words(self) -> list[str]:
        """The file that pauses it."""
        return [f"paused; remove {self.by} to resume"]


class Warned(BaseEvent):
    """A warning for the log."""

    kind: Literal["warned"] = "warned"
    text: str


class NetEpochDone(BaseEvent):
    """An epoch of one of several small nets has finished; nets and epochs count from 1."""

    kind: Literal["net_epoch"] = "net_epoch"
    fold: int
    views: str
    net: int
    nets: int
    epoch: int
    epochs: int
    loss: float

    @property
    def share(self) -> float:
        """The fraction of all epochs of all nets."""
        return (self.net - 1 + self.epoch / self.epochs) / self.nets

    @property
    def words(self) -> list[str]:
        """The net, epoch and loss."""
        net = f"net {self.net} of {self.nets}"
        return [net, f"epoch {self.epoch}/{self.epochs}", f"loss {self.loss:.3f}"]


class ModelPredicting(BaseEvent):
    """One of several models has predicted some of its samples; models count from 1."""

    kind: Literal["model_predicting"] = "model_predicting"
    model: int
    models: int
    done: int
    samples: int

    @property
    def share(self) -> float:
        """The fraction of all samples of all models."""
        return (self.model - 1 + self.done / max(self.samples, 1)) / self.models

    @property
    def words(self) -> list[str]:
        """The number of the model."""
        return [f"model {self.model} of {self.models}"]


class TilesPredicted(BaseEvent):
    """Some of the tiles of large images have been predicted."""

    kind: Literal["tiles_predicted"] = "tiles_predicted"
    done: int
    tiles: int

    @property
    def share(self) -> float:
        """The fraction of all tiles."""
        return self.done / max(self.tiles, 1)

    @property
    def words(self) -> list[str]:
        """The number of tiles predicted."""
        return [f"tile {self.done:,} of {self.tiles:,}"]


class FilesRead(BaseEvent):
    """Some of the files have been read."""

    kind: Literal["files_read"] = "files_read"
    read: int
    files: int

    @property
    def share(self) -> float:
        """The fraction of all files."""
        return self.read / max(self.files, 1)

    @property
    def words(self) -> list[str]:
        """The number of files read."""
        return [f"reading {self.read:,} of {self.files:,}"]


Event = (
    StepDone
    | EpochDone
    | Predicting
    | Resumed
    | Paused
    | Warned
    | NetEpochDone
    | ModelPredicting
    | TilesPredicted
    | FilesRead
)
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def read_event(line: dict[str, Any]) -> Event:
    """Return the event in a line of a child process.

    Raises:
        pydantic.ValidationError: the line is not an event.
    """
    return _ADAPTER.validate_python(line)
