"""What a challenge brings: the parts of it that flows and commands call, whichever it is.

A challenge is found by the name of an experiment or by the tables of a folder; see
`lsdc.challenges.registry`. Its modules are imported when a part is asked for, as most of them load
libraries for tables, images or training.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from lsdc.experiments.base import Config
from lsdc.experiments.presets import Experiments

if TYPE_CHECKING:
    from lsdc.store.manifest import Manifest
    from tasks.run import Run
    from tasks.stage import Stage


class Steps(Protocol):
    """The steps of a challenge's runs, in the order in which flows call them."""

    @property
    def STAGES(self) -> "Collection[Stage[..., Any]]":  # noqa: N802 (a constant of a module)
        """The stages of a run that trains for another run."""

    @property
    def GPU_FLOWS(self) -> Collection[Any]:  # noqa: N802
        """The flows that a worker with a GPU is sent, besides `train-fold`."""

    def require_model_here(self, run: Any) -> None:
        """Refuse a model that cannot be trained, before any data is prepared for it."""

    def prepare_training(
        self, run: Any, *, for_submission: bool = False, for_training: bool = True
    ) -> Any:
        """Prepare what models are trained on; for a submission, also look at the test set.

        The result has `test`, which is None where no submission is made.
        """

    def train_and_score(self, run: Any, prepared: Any) -> "list[Manifest]":
        """Train the requested folds, and score the predictions out of fold."""

    def predict_and_assemble(self, run: Any, prepared: Any, trained: "Sequence[Manifest]") -> None:
        """Predict the test set with what was trained, and write the submission."""

    def report(self, run: Any, prepared: Any, trained: "Sequence[Manifest]") -> None:
        """Write the report of the scored run."""

    def prepare_folds(self, run: Any) -> Any:
        """Prepare what folds are trained on, in a run that trains for another run."""

    def train_here(self, run: Any, prepared: Any) -> "list[Manifest]":
        """Train the requested folds in this flow run."""


@dataclass(frozen=True)
class Scored:
    """The competition's metric of some predictions.

    Attributes:
        losses: the score, and the losses of its parts; None for a part without a labelled row.
        prior: the same of the prior, which predicts each label's share.
        prior_name: the name of the prior.
    """

    losses: Mapping[str, float | None]
    prior: Mapping[str, float | None]
    prior_name: str


class Challenge(ABC):
    """A challenge: its experiments, the steps of its runs, and how its folders are recognised.

    Attributes:
        name: the name of its package, and of the challenge on the command line.
        title: the name of the competition.
        tables: the tables by which a folder is recognised, for messages.
        recommended: the experiments that are listed first.
        sample_submission: the name of the file with the rows to predict.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    tables: ClassVar[str]
    sample_submission: ClassVar[str]
    recommended: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def experiments(self) -> Experiments[Any]:
        """The named experiments."""

    @property
    @abstractmethod
    def run(self) -> "type[Run]":
        """The class of its runs."""

    @property
    @abstractmethod
    def steps(self) -> Steps:
        """The steps of its runs."""

    @abstractmethod
    def is_in(self, folder: Path) -> bool:
        """Return whether a folder has the tables of its competition, complete or not."""

    @abstractmethod
    def require_competition(self, run: Any) -> None:
        """Refuse a folder that a run cannot use, before anything starts.

        Raises:
            DataError: tables are missing or damaged, or there are too few studies for the folds.
        """

    @abstractmethod
    def summarise(self, run: Any) -> list[str]:
        """Return lines on a finished run that follow its scores."""

    @abstractmethod
    def score(self, predictions: Path, data: Path) -> Scored:
        """Score a file of predictions with the competition's metric.

        Args:
            predictions: a CSV or Parquet file.
            data: the folder with the labels; no other file is read.

        Raises:
            DataError: the predictions or the labels cannot be read, or do not go together.
        """

    @property
    @abstractmethod
    def demo_data(self) -> type[Config]:
        """The options of its phantom, each with its default and its description."""

    @abstractmethod
    def write_demo_data(
        self, out: Path, options: Any, on_progress: Callable[[int, int], None]
    ) -> tuple[int, int]:
        """Write a phantom: a competition of synthetic studies whose answers are known.

        Args:
            out: a folder that does not exist yet, or an empty one.
            options: an instance of `demo_data`.
            on_progress: called with the number of studies written, and their total.

        Returns:
            The numbers of training and of test studies.

        Raises:
            SettingsError: `out` is not empty, or an option is out of bounds.
        """
