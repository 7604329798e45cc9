"""The lumbar challenge, as flows and commands see it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lsdc.challenges.challenge import Challenge, Scored, Steps
from lsdc.challenges.lumbar.config.demo import DemoData

if TYPE_CHECKING:
    from lsdc.challenges.lumbar.config.experiment import Experiment
    from lsdc.challenges.lumbar.run import LumbarRun
    from lsdc.experiments.presets import Experiments


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
        self, out: Path, options: DemoData, on_progress: Callable[[int, int], None]
    ) -> tuple[int, int]:
        """Write a phantom: a competition of synthetic studies whose answers are known."""
        from lsdc.challenges.lumbar.phantom.study import Order
        from lsdc.challenges.lumbar.phantom.writer import write_phantom

        given = options.model_dump()
        write_phantom(out, Order(scatter_mm=given.pop("scatter"), **given), on_progress=on_progress)
        return options.studies, options.test


LUMBAR = Lumbar()
