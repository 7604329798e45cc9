"""The haemorrhage challenge, as flows and commands see it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lsdc.challenges.challenge import Challenge, OnProgress, Say, Scored, Source, Steps
from lsdc.challenges.hemorrhage.config.demo import DemoData
from lsdc.messages import counted

if TYPE_CHECKING:
    from lsdc.challenges.hemorrhage.config.experiment import Experiment
    from lsdc.challenges.hemorrhage.report.figures.sources import RunSource
    from lsdc.challenges.hemorrhage.report.figures.sources import Source as ReportSource
    from lsdc.challenges.hemorrhage.run import HemorrhageRun
    from lsdc.challenges.hemorrhage.terminal.index import PrintedIndex
    from lsdc.challenges.hemorrhage.terminal.predictions import PrintedPrediction
    from lsdc.experiments.presets import Experiments
    from lsdc.pack.printed import PrintedBundle
    from lsdc.predict.progress import OnProgress as OnPredicted
    from lsdc.store.home import Home
    from lsdc.tables.findings import Report


class Hemorrhage(Challenge):
    """RSNA 2019 Intracranial Hemorrhage Detection."""

    name = "hemorrhage"
    title = "RSNA 2019 Intracranial Hemorrhage"
    tables = "stage_2_train.csv (or stage 1's)"
    sample_submission = "stage_2_sample_submission.csv"
    # A quick one, one without a GPU, after a published solution, and the notes' best out of fold.
    recommended = ("ich-demo", "ich-small", "ich-strong", "ich-exp90")
    demo_data = DemoData

    @property
    def experiments(self) -> "Experiments[Experiment]":
        """The named experiments."""
        from lsdc.challenges.hemorrhage.config.presets import EXPERIMENTS

        return EXPERIMENTS

    @property
    def run(self) -> "type[HemorrhageRun]":
        """The class of its runs."""
        from lsdc.challenges.hemorrhage.run import HemorrhageRun

        return HemorrhageRun

    @property
    def steps(self) -> Steps:
        """The steps of its runs."""
        from lsdc.challenges.hemorrhage.steps import flow

        return flow

    def is_in(self, folder: Path) -> bool:
        """Return whether a folder has the tables of its competition, complete or not."""
        from lsdc.challenges.hemorrhage.competition.tables import is_competition

        return is_competition(folder)

    def require_competition(self, run: "HemorrhageRun") -> None:
        """Refuse a folder that a run cannot use, before anything starts."""
        from lsdc.challenges.hemorrhage.competition.tables import open_competition
        from lsdc.challenges.hemorrhage.index.folders import find_folders

        find_folders(run.data, open_competition(run.data).stage)

    def index(
        self, folder: Path, home: "Home", *, processes: int, on_progress: OnProgress
    ) -> "PrintedIndex":
        """Index the headers of a folder's images into the catalog of a home."""
        from lsdc.challenges.hemorrhage.terminal.index import index_into

        return index_into(home, folder, processes=processes, on_progress=on_progress)

    def examine(self, folder: Path, home: "Home", *, on_progress: OnProgress) -> "Report | None":
        """Check the quality of a folder's data."""
        from lsdc.challenges.hemorrhage.competition.tables import listed_images, open_competition
        from lsdc.challenges.hemorrhage.quality.doctor import examine

        competition = open_competition(folder)
        found = self.index(folder, home, processes=2, on_progress=on_progress)
        return examine(
            found.tables, label_findings=competition.findings, listed=listed_images(competition)
        )

    def summarise(self, run: "HemorrhageRun") -> list[str]:
        """Return a line on the images that no model predicted, if any."""
        from lsdc.challenges.hemorrhage.scoring.complete import describe_filled
        from lsdc.challenges.hemorrhage.scoring.oof import FILLED
        from lsdc.challenges.hemorrhage.scoring.submission import FILLED as SUBMISSION_FILLED
        from lsdc.store.exact_names import read_parquet

        files = {"the out-of-fold table": FILLED, "the submission": SUBMISSION_FILLED}
        there = {what: run.folder / name for what, name in files.items()}
        return describe_filled(
            {what: read_parquet(path) for what, path in there.items() if path.is_file()}
        )

    def score(self, predictions: Path, data: Path) -> Scored:
        """Score a file of predictions with the competition's metric."""
        from lsdc.challenges.hemorrhage.competition.predictions import read_predictions
        from lsdc.challenges.hemorrhage.competition.tables import read_labels
        from lsdc.challenges.hemorrhage.scoring.metric import score
        from lsdc.challenges.hemorrhage.scoring.prior import label_shares, predict_prior

        labels = read_labels(data)
        found = score(labels, read_predictions(predictions), str(predictions))
        prior = predict_prior(labels["image_id"], label_shares(labels))
        beside = score(labels, prior, "the prior")
        return Scored(found.as_dict(), beside.as_dict(), "prior")

    def write_demo_data(
        self, out: Path, options: DemoData, on_progress: OnProgress
    ) -> tuple[int, int]:
        """Write a phantom: a competition of synthetic studies whose answers are known."""
        from lsdc.challenges.hemorrhage.phantom.study import Order
        from lsdc.challenges.hemorrhage.phantom.writer import write_phantom

        write_phantom(out, Order(**options.model_dump()), on_progress=on_progress)
        return options.studies, options.test

    def read_run(self, home: "Home", name: str) -> "RunSource":
        """Read a run with out-of-fold predictions."""
        from lsdc.challenges.hemorrhage.report.figures.sources import read_run

        return read_run(home, name)

    def read_prediction_files(self, paths: Sequence[Path], data: Path) -> list[Source]:
        """Read tables of predictions, with the labels of a competition's folder."""
        from lsdc.challenges.hemorrhage.report.figures.sources import read_prediction_files

        return [*read_prediction_files(paths, data)]

    def write_report(
        self, sources: "Sequence[ReportSource]", path: Path, *, images: int, say: Say
    ) -> None:
        """Write a report as an HTML file; the others are compared with the first."""
        from lsdc.challenges.hemorrhage.report.figures.sources import RunSource
        from lsdc.challenges.hemorrhage.report.page.build import build_report
        from lsdc.challenges.hemorrhage.report.pictures.cases import images_of_cases
        from lsdc.store.files import write_text

        first, drawn = sources[0], None
        if isinstance(first, RunSource) and images:
            say(f"drawing the images of {counted(images, 'case')}")
            drawn = images_of_cases(first.home, first.name, images)
        write_text(path, build_report(sources, drawn))

    def inspect(self, home: "Home", run: str, study: str, out: Path) -> None:
        """Draw all slices of a study, with labels and predictions."""
        from lsdc.challenges.hemorrhage.report.pictures.sheet import inspect_study

        inspect_study(home, run, study, out)

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
        """Predict any head CT studies with the models of a run."""
        from lsdc.challenges.hemorrhage.predict.models import models_of_run
        from lsdc.challenges.hemorrhage.predict.studies import predict_studies
        from lsdc.challenges.hemorrhage.terminal.predictions import PrintedPrediction

        models = models_of_run(home, run)
        prediction = predict_studies(
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
        from lsdc.challenges.hemorrhage.pack.write import write_bundle
        from lsdc.pack.libraries import target_image
        from lsdc.pack.printed import PrintedBundle

        target = target_image(image, python)
        return PrintedBundle(write_bundle(home, runs, out, image=target, wheels=wheels))


HEMORRHAGE = Hemorrhage()
