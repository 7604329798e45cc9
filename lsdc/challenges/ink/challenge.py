"""The ink challenge, as flows and commands see it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lsdc.challenges.challenge import Challenge, OnProgress, Say, Scored, Source, Steps
from lsdc.challenges.ink.config.demo import DemoData

if TYPE_CHECKING:
    from lsdc.challenges.ink.config.experiment import Experiment
    from lsdc.challenges.ink.report.sources import RunSource
    from lsdc.challenges.ink.run import InkRun
    from lsdc.challenges.ink.terminal.index import PrintedIndex
    from lsdc.challenges.ink.terminal.predictions import PrintedPrediction
    from lsdc.experiments.presets import Experiments
    from lsdc.pack.printed import PrintedBundle
    from lsdc.predict.progress import OnProgress as OnPredicted
    from lsdc.store.home import Home
    from lsdc.tables.findings import Report


class Ink(Challenge):
    """Vesuvius Challenge - Ink Detection."""

    name = "ink"
    title = "Vesuvius Challenge - Ink Detection"
    tables = "train/ID/surface_volume and inklabels.png"
    sample_submission = "sample_submission.csv"
    # A quick one, one without a GPU, the 2nd place's code, and the notes' best search.
    recommended = ("ink-demo", "ink-small", "ink-second", "ink-5x7")
    demo_data = DemoData
    drawn_as = ".html"

    @property
    def experiments(self) -> "Experiments[Experiment]":
        """The named experiments."""
        from lsdc.challenges.ink.config.presets import EXPERIMENTS

        return EXPERIMENTS

    @property
    def run(self) -> "type[InkRun]":
        """The class of its runs."""
        from lsdc.challenges.ink.run import InkRun

        return InkRun

    @property
    def steps(self) -> Steps:
        """The steps of its runs."""
        from lsdc.challenges.ink.steps import flow

        return flow

    def is_in(self, folder: Path) -> bool:
        """Return whether a folder has the fragments of its competition, complete or not."""
        from lsdc.challenges.ink.competition.tables import is_competition

        return is_competition(folder)

    def require_competition(self, run: "InkRun") -> None:
        """Refuse a folder or options that a run cannot use, before anything starts."""
        from lsdc.challenges.ink.competition.tables import open_competition
        from lsdc.errors import SettingsError

        for option, given in (("--holdout", run.holdout), ("--limit", run.limit)):
            if given:
                raise SettingsError(
                    f"{option} {given}: expected none, as there are no studies to leave out of a "
                    "few fragments; leave the option out"
                )
        fragments, bands = len(open_competition(run.data).training), run.experiment.split.bands
        regions = sum(bands) if len(bands) > 1 else bands[0] * fragments
        if run.folds > regions:
            raise SettingsError(
                f"--folds {run.folds}: expected at most {regions}, the number of regions that "
                "split.bands makes; use fewer folds, or more bands"
            )

    def index(
        self,
        folder: Path,
        home: "Home",
        *,
        processes: int,  # noqa: ARG002 (headers of a few hundred files)
        on_progress: OnProgress,
    ) -> "PrintedIndex":
        """Index the fragments and layers of a folder into the catalog of a home."""
        from lsdc.challenges.ink.terminal.index import index_into

        return index_into(home, folder, on_progress=on_progress)

    def examine(
        self,
        folder: Path,
        home: "Home",  # noqa: ARG002 (no header is kept)
        *,
        on_progress: OnProgress,
    ) -> "Report | None":
        """Check the quality of a folder's data."""
        from lsdc.challenges.ink.quality.doctor import examine

        return examine(folder, on_progress=on_progress)

    def summarise(self, run: "InkRun") -> list[str]:
        """Return a line on the rule that masks are made by."""
        from lsdc.challenges.ink.masks.rules import Rules

        return [f"masks of test fragments: {Rules.read(run.folder).final.describe()}"]

    def score(self, predictions: Path, data: Path) -> Scored:
        """Score a file of predictions with the competition's metric."""
        from lsdc.challenges.ink.scoring.submission import score_submission

        found, ones = score_submission(predictions, data)
        return Scored(found, ones, "all ones")

    def write_demo_data(
        self, out: Path, options: DemoData, on_progress: OnProgress
    ) -> tuple[int, int]:
        """Write a phantom: a competition of synthetic fragments whose answers are known."""
        from lsdc.challenges.ink.phantom.order import Order
        from lsdc.challenges.ink.phantom.writer import write_phantom

        write_phantom(out, Order(**options.model_dump()), on_progress=on_progress)
        return options.fragments, options.test

    def read_run(self, home: "Home", name: str) -> "RunSource":
        """Read a run with out-of-fold maps."""
        from lsdc.challenges.ink.report.sources import read_run

        return read_run(home, name)

    def read_prediction_files(
        self,
        paths: Sequence[Path],
        data: Path,  # noqa: ARG002
    ) -> list[Source]:
        """Refuse tables of predictions: a report shows maps, which they do not have."""
        from lsdc.errors import SettingsError

        raise SettingsError(
            f"{', '.join(map(str, paths))}: expected the name of a run, whose maps a report of "
            f"{self.title} shows; score files with 'lsdc score'"
        )

    def write_report(
        self,
        sources: "Sequence[RunSource]",
        path: Path,
        *,
        images: int,
        say: Say,  # noqa: ARG002
    ) -> None:
        """Write a report as an HTML file; the others are compared with the first."""
        from lsdc.challenges.ink.report.build import build_report
        from lsdc.store.files import write_text

        write_text(path, build_report(sources, images))

    def inspect(self, home: "Home", run: str, study: str, out: Path) -> None:
        """Write a page with a slider of a fragment's layers, its label and its predictions."""
        from lsdc.challenges.ink.report.viewer import inspect_fragment

        inspect_fragment(home, run, study, out)

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
    ) -> "PrintedPrediction":
        """Predict any fragments with the models of a run."""
        from lsdc.challenges.ink.predict.fragments import predict_fragments
        from lsdc.challenges.ink.predict.models import models_of_run
        from lsdc.challenges.ink.terminal.predictions import PrintedPrediction

        models = models_of_run(home, run)
        prediction = predict_fragments(
            folder,
            models,
            out,
            device=device,
            threads=threads,
            pictures=pictures,
            on_progress=on_progress,
        )
        return PrintedPrediction(prediction, models, out)

    def pack(
        self,
        home: "Home",
        runs: Sequence[str],
        out: Path,
        *,
        image: Path | None,
        python: str | None,
        wheels: bool,
    ) -> "PrintedBundle":
        """Put runs into one folder that predicts a test folder without a network."""
        from lsdc.challenges.ink.pack.write import write_bundle
        from lsdc.pack.libraries import target_image
        from lsdc.pack.printed import PrintedBundle

        target = target_image(image, python)
        return PrintedBundle(write_bundle(home, runs, out, image=target, wheels=wheels))


INK = Ink()
