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

from lsdc.errors import SettingsError
from lsdc.experiments.base import Config
from lsdc.experiments.presets import Experiments

if TYPE_CHECKING:
    from rich.console import Console

    from lsdc.predict.progress import OnProgress as OnPredicted
    from lsdc.store.home import Home
    from lsdc.store.manifest import Manifest
    from lsdc.tables.findings import Report
    from tasks.run import Run
    from tasks.stage import Stage

Say = Callable[[str], None]
"""Called with a message about what takes time."""

OnProgress = Callable[[int, int], None]
"""Called with the number of pieces of work that are done, and with their total."""


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


class Printed(Protocol):
    """The result of a command, as JSON values or printed for people."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""

    def show(self, console: "Console") -> None:
        """Print it for people."""


class PrintedIndex(Printed, Protocol):
    """The index of a folder, in the catalog of a home."""

    @property
    def name(self) -> str:
        """The name that marks its rows in the catalog."""

    @property
    def table(self) -> str:
        """The catalog's table with a row per image."""

    def refuse_bad(self, *, max_bad: float) -> None:
        """Refuse too many bad files.

        Raises:
            StageError: more than this fraction of the files, and at least 10, cannot be used.
        """


class Source(Protocol):
    """A run, or a table of predictions, that a report is about."""

    @property
    def name(self) -> str:
        """Its name in the report."""


class Challenge(ABC):
    """A challenge: its experiments, the steps of its runs, and how its folders are recognised.

    Attributes:
        name: the name of its package, and of the challenge on the command line.
        title: the name of the competition.
        tables: the tables by which a folder is recognised, for messages.
        recommended: the experiments that are listed first.
        sample_submission: the name of the file with the rows to predict.
        drawn_as: the suffix of what `inspect` writes.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    tables: ClassVar[str]
    sample_submission: ClassVar[str]
    recommended: ClassVar[tuple[str, ...]]
    drawn_as: ClassVar[str] = ".png"

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
    def index(
        self, folder: Path, home: "Home", *, processes: int, on_progress: OnProgress
    ) -> PrintedIndex:
        """Index the headers of a folder's files into the catalog of a home, whose lock is held.

        Args:
            folder: the folder; the first challenge takes any that has DICOM files.
            home: the home.
            processes: the number of processes that read files.
            on_progress: called with the number of files read and of all files.

        Raises:
            DataError: the folder or one of its tables cannot be read.
        """

    @abstractmethod
    def examine(self, folder: Path, home: "Home", *, on_progress: OnProgress) -> "Report | None":
        """Check the quality of a folder's data; None if it has neither tables nor DICOM files."""

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
    def write_demo_data(self, out: Path, options: Any, on_progress: OnProgress) -> tuple[int, int]:
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

    def brings(self, method: str) -> bool:
        """Return whether it has its own method of that name, not the one that refuses."""
        return getattr(type(self), method) is not getattr(Challenge, method)

    def read_run(self, home: "Home", name: str) -> Source:
        """Read a run with out-of-fold predictions.

        Raises:
            DataError: the run has no scores.
        """
        raise self._has_no("report, lsdc suspects")

    def read_prediction_files(self, paths: Sequence[Path], data: Path) -> list[Source]:
        """Read tables of predictions, with the labels of a competition's folder.

        Raises:
            DataError: the labels or a table cannot be read, or do not fit together.
        """
        raise self._has_no("report, lsdc suspects")

    def write_report(self, sources: Sequence[Any], path: Path, *, images: int, say: Say) -> None:
        """Write a report as an HTML file; the others are compared with the first.

        Args:
            sources: what `read_run` or `read_prediction_files` returned.
            path: the file.
            images: the number of cases of the first run to show with images.
            say: called with a message about what takes time.
        """
        raise self._has_no("report")

    def inspect(self, home: "Home", run: str, study: str, out: Path) -> None:
        """Draw a study with the results of a run into a PNG file.

        Raises:
            DataError: the run has no such study.
        """
        raise self._has_no("inspect")

    def explain(
        self, home: "Home", run: str, study: str, *, out: Path | None, device: str, long: bool
    ) -> Printed:
        """Explain what a study's predictions rest on, and draw a picture into a folder."""
        raise self._has_no("explain")

    def predict(
        self,
        home: "Home",
        run: str,
        folder: Path,
        out: Path,
        *,
        device: str,
        threads: int,
        pictures: bool,
        on_progress: "OnPredicted",
    ) -> Printed:
        """Predict any studies with the models of a run."""
        raise self._has_no("predict")

    def pack(
        self,
        home: "Home",
        runs: Sequence[str],
        out: Path,
        *,
        image: Path | None,
        python: str | None,
        wheels: bool,
    ) -> Printed:
        """Put runs into one folder that predicts a test folder without a network."""
        raise self._has_no("pack")

    def combine(
        self,
        members: Sequence[str],
        runs: Sequence[str],
        settings: Mapping[str, Any],
        *,
        home: "Home | None",
        data: Path | None,
        folds: Path | None,
        out: Path | None,
    ) -> Printed:
        """Combine files of predictions and runs, and say what each of them adds.

        Args:
            members: the names of runs, and the paths of files, each once.
            runs: those of them that are runs.
            settings: how they are combined, by the options of `lsdc ensemble`.
            home: the home of the runs; None without any.
            data: the folder with the labels; by default those of the runs.
            folds: a file with the folds of what is fitted; by default those of the members.
            out: a file for the ensemble's predictions.
        """
        raise self._has_no("ensemble")

    def list_suspects(self, source: Any, doubt: float, out: Path | None) -> Printed:
        """List the labels that out-of-fold predictions contradict."""
        raise self._has_no("suspects")

    def _has_no(self, command: str) -> SettingsError:
        return SettingsError(
            f"lsdc {command}: not available for {self.title}; 'lsdc --help' lists the commands"
        )
