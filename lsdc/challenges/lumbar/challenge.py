"""The lumbar challenge, as flows and commands see it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsdc.challenges.challenge import Challenge, OnProgress, Say, Scored, Source, Steps
from lsdc.challenges.lumbar.config.demo import DemoData
from lsdc.errors import SettingsError
from lsdc.messages import counted

if TYPE_CHECKING:
    from lsdc.challenges.lumbar.config.experiment import Experiment
    from lsdc.challenges.lumbar.report.figures.sources import RunSource
    from lsdc.challenges.lumbar.report.figures.sources import Source as ReportSource
    from lsdc.challenges.lumbar.run import LumbarRun
    from lsdc.challenges.lumbar.terminal.ensembles import PrintedEnsemble
    from lsdc.challenges.lumbar.terminal.explanations import PrintedExplanation
    from lsdc.challenges.lumbar.terminal.index import PrintedIndex
    from lsdc.challenges.lumbar.terminal.predictions import PrintedPrediction
    from lsdc.challenges.lumbar.terminal.suspects import PrintedSuspects
    from lsdc.experiments.presets import Experiments
    from lsdc.pack.printed import PrintedBundle
    from lsdc.predict.progress import OnProgress as OnPredicted
    from lsdc.store.home import Home
    from lsdc.tables.findings import Report


class Lumbar(Challenge):
    """RSNA 2024 Lumbar Spine Degenerative Classification."""

    name = "lumbar"
    title = "RSNA 2024 Lumbar Spine"
    tables = "train.csv and others"
    sample_submission = "sample_submission.csv"
    # A quick one, one without a GPU, ours, after the published solutions, the lab log's network,
    # its best out of fold.
    recommended = (
        *("demo", "small", "baseline"),
        *("winners-joint", "winners-second"),
        *("exp118", "exp187"),
    )
    demo_data = DemoData

    @property
    def experiments(self) -> "Experiments[Experiment]":
        """The named experiments."""
        from lsdc.challenges.lumbar.config.presets import EXPERIMENTS

        return EXPERIMENTS

    @property
    def run(self) -> "type[LumbarRun]":
        """The class of its runs."""
        from lsdc.challenges.lumbar.run import LumbarRun

        return LumbarRun

    @property
    def steps(self) -> Steps:
        """The steps of its runs."""
        from lsdc.challenges.lumbar.steps import flow

        return flow

    def is_in(self, folder: Path) -> bool:
        """Return whether a folder has the tables of its competition, complete or not."""
        from lsdc.challenges.lumbar.competition.tables import is_competition

        return is_competition(folder)

    def require_competition(self, run: "LumbarRun") -> None:
        """Refuse a folder that a run cannot use, before anything starts."""
        from lsdc.challenges.lumbar.competition.tables import open_competition
        from lsdc.challenges.lumbar.folds import require_studies

        require_studies(open_competition(run.data), run.folds, run.limit)

    def index(
        self, folder: Path, home: "Home", *, processes: int, on_progress: OnProgress
    ) -> "PrintedIndex":
        """Index the headers of all files below a folder into the catalog of a home."""
        from lsdc.challenges.lumbar.catalog_tables import CATALOG
        from lsdc.challenges.lumbar.competition.tables import competition_in
        from lsdc.challenges.lumbar.terminal.index import PrintedIndex
        from lsdc.dicom_index.folder_index import catalog_tree, tree_tables
        from lsdc.dicom_index.index import Index, log_index

        competition = competition_in(folder) if folder.is_dir() else None
        indexed = catalog_tree(
            folder, home, CATALOG, listing=competition, processes=processes, on_progress=on_progress
        )
        tables = Index.load(tree_tables(home, folder))
        log_index(None, tables, competition.spell if competition else str)
        return PrintedIndex(folder, home, indexed, tables, competition)

    def examine(self, folder: Path, home: "Home", *, on_progress: OnProgress) -> "Report | None":
        """Check the quality of a folder's data; None if it has neither tables nor DICOM files."""
        from lsdc.challenges.lumbar.quality.doctor import examine

        found = self.index(folder, home, processes=2, on_progress=on_progress)
        tables = found.tables
        index = tables if len(tables.instances) or len(tables.quarantine) else None
        if found.competition is None and index is None:
            return None
        return examine(found.competition, index)

    def summarise(self, run: "LumbarRun") -> list[str]:
        """Return a line on annotation corrections, new, kept from an earlier run, or none."""
        import polars as pl

        from lsdc.challenges.lumbar.quality.corrections import describe_corrections
        from lsdc.store.exact_names import open_database

        if run.experiment.members:
            return []
        with open_database(run.home.catalog, read_only=True) as catalog:
            query = "SELECT rule, study_id FROM all_runs.corrections WHERE run = ?"
            rows = catalog.execute(query, [run.name]).fetchall()
        made = pl.DataFrame(rows, schema=["rule", "study_id"], orient="row")
        return [f"annotations {run.annotations}: {describe_corrections(made)}"]

    def score(self, predictions: Path, data: Path) -> Scored:
        """Score a file of predictions with the competition's metric."""
        from lsdc.challenges.lumbar.competition.predictions import read_predictions
        from lsdc.challenges.lumbar.competition.tables import read_labels
        from lsdc.challenges.lumbar.scoring.metric import score
        from lsdc.challenges.lumbar.scoring.prior import weighted_prior

        labels = read_labels(data)
        found = score(labels, read_predictions(predictions), str(predictions))
        prior = score(labels, weighted_prior(labels), "weighted prior")
        return Scored(found.as_dict(), prior.as_dict(), "weighted prior")

    def write_demo_data(
        self, out: Path, options: DemoData, on_progress: OnProgress
    ) -> tuple[int, int]:
        """Write a phantom: a competition of synthetic studies whose answers are known."""
        from lsdc.challenges.lumbar.phantom.study import Order
        from lsdc.challenges.lumbar.phantom.writer import write_phantom

        given = options.model_dump()
        write_phantom(out, Order(scatter_mm=given.pop("scatter"), **given), on_progress=on_progress)
        return options.studies, options.test

    def read_run(self, home: "Home", name: str) -> "RunSource":
        """Read a run with out-of-fold predictions."""
        from lsdc.challenges.lumbar.report.figures.sources import read_run

        return read_run(home, name)

    def read_prediction_files(self, paths: Sequence[Path], data: Path) -> list[Source]:
        """Read tables of predictions, with the labels of a competition's folder."""
        from lsdc.challenges.lumbar.report.figures.sources import read_prediction_files

        return [*read_prediction_files(paths, data)]

    def write_report(
        self, sources: "Sequence[ReportSource]", path: Path, *, images: int, say: Say
    ) -> None:
        """Write a report as an HTML file; the others are compared with the first."""
        from lsdc.challenges.lumbar.report.figures.sources import RunSource
        from lsdc.challenges.lumbar.report.page.build import build_report
        from lsdc.store.files import write_text

        first, drawn = sources[0], None
        if isinstance(first, RunSource) and images and not first.members:
            from lsdc.challenges.lumbar.explain.gallery import images_of

            say(f"drawing the images of {counted(images, 'case')}")
            drawn = images_of(first, images)
        write_text(path, build_report(sources, drawn))

    def inspect(self, home: "Home", run: str, study: str, out: Path) -> None:
        """Draw a study: its points, chosen slices and crops, with distances in mm."""
        from lsdc.challenges.lumbar.config.recorded import recorded_slices
        from lsdc.challenges.lumbar.report.sheet import write_sheet
        from lsdc.challenges.lumbar.report.study import gather_study
        from lsdc.challenges.lumbar.results import require_own_models
        from lsdc.store.garbage import pinned_results
        from lsdc.store.runs import EXPERIMENT_FILE

        number, made_with = as_study_id(study), home.run(run) / EXPERIMENT_FILE
        settings = json.loads(made_with.read_text(encoding="utf-8"))
        require_own_models(run, settings.get("members", ()))
        slices = recorded_slices(settings, made_with)
        write_sheet(gather_study(number, pinned_results(home, run), slices), out, experiment=run)

    def explain(
        self, home: "Home", run: str, study: str, *, out: Path | None, device: str, long: bool
    ) -> "PrintedExplanation":
        """Explain a study: predictions by fold, and the slices and places they rest on."""
        from lsdc.challenges.lumbar.explain.overview import write_overview
        from lsdc.challenges.lumbar.explain.study import explain_study
        from lsdc.challenges.lumbar.explain.trained import TrainedRun
        from lsdc.challenges.lumbar.terminal.explanations import PrintedExplanation

        number, trained = as_study_id(study), TrainedRun(home, run)
        found = explain_study(trained, number, device=device)
        picture = (out or trained.folder / "explain") / f"{number}.png"
        write_overview(found, picture)
        return PrintedExplanation(found, run, picture, long)

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
        """Predict any DICOM studies with the models of a run."""
        from lsdc.challenges.lumbar.predict.models import models_of_run
        from lsdc.challenges.lumbar.predict.studies import predict_studies
        from lsdc.challenges.lumbar.terminal.predictions import PrintedPrediction

        models = models_of_run(home.root, run)
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
        from lsdc.challenges.lumbar.pack.write import write_bundle
        from lsdc.pack.libraries import target_image
        from lsdc.pack.printed import PrintedBundle

        target = target_image(image, python)
        return PrintedBundle(write_bundle(home.root, runs, out, image=target, wheels=wheels))

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
    ) -> "PrintedEnsemble":
        """Combine files of predictions and runs, and say what each of them adds."""
        from lsdc.challenges.lumbar.ensemble import of_files
        from lsdc.challenges.lumbar.terminal.ensembles import PrintedEnsemble

        config = of_files.ensemble_config(settings)
        read = of_files.read_members(members, runs, home)
        result = of_files.assess_members(read, config, data=data, folds=folds)
        if out is not None:
            of_files.write_predictions(result, out)
        return PrintedEnsemble(result, config, out)

    def list_suspects(
        self, source: "ReportSource", doubt: float, out: Path | None
    ) -> "PrintedSuspects":
        """List the labels that out-of-fold predictions contradict, the most doubtful first."""
        from lsdc.challenges.lumbar.scoring.doubt import list_suspects
        from lsdc.challenges.lumbar.terminal.suspects import PrintedSuspects
        from lsdc.store.files import write_atomic

        labels = source.scored.rows
        found = list_suspects(labels, doubt)
        if out is not None:
            with write_atomic(out) as temporary:
                found.write_csv(temporary)
        return PrintedSuspects(source.name, len(labels), doubt, found, out)


def as_study_id(typed: str) -> int:
    """Return the id of a study as a number.

    Raises:
        SettingsError: it is none.
    """
    try:
        return int(typed)
    except ValueError:
        raise SettingsError(f"{typed}: expected the id of a study, a number") from None


LUMBAR = Lumbar()
