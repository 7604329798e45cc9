"""Train a fold on crops of random pixels, and predict with its model."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import Experiment, SlicesConfig
from lsdc.challenges.lumbar.config.model import ModelConfig
from lsdc.challenges.lumbar.training.predict import PredictJob
from lsdc.challenges.lumbar.training.train_fold import FoldJob
from lsdc.jobs.fold import train_fold
from lsdc.jobs.predict import predict
from lsdc.store.fingerprint import fingerprint
from lsdc.training.process import OnEvent, ignore
from lsdc.training.settings.training import TrainingSettings

EXPERIMENT = Experiment(
    name="small",
    slices=SlicesConfig(side_slices=0, middle_slices=1, axial_slices=1),
    crops=CropsConfig(size_px=32),
    model=ModelConfig(backbone="test_efficientnet_gn", pretrained=False, width=8),
    training=TrainingSettings(epochs=2, batch_size=8, learning_rate=1e-3),
)
N_STUDIES = 8


@dataclass(frozen=True)
class Data:
    """Crops of random pixels, their labels and two folds."""

    root: Path
    labels: Path
    folds: Path

    def train(
        self,
        out: Path,
        *,
        experiment: Experiment = EXPERIMENT,
        on_event: OnEvent = ignore,
        fold: int = 0,
        second_fold: int | None = None,
        judges: tuple[Path, ...] = (),
        start_from: Path | None = None,
        holdout: Path | None = None,
        marks: Path | None = None,
        device: str = "cpu",
        beside: tuple[str, ...] = (),
        identity: str | None = None,
    ) -> None:
        train_fold(
            FoldJob(
                experiment=experiment,
                fold=fold,
                second_fold=second_fold,
                judges=judges,
                crops=self.root,
                labels=self.labels,
                folds=self.folds,
                out=out,
                identity=identity or fingerprint({"experiment": experiment}),
                seed=3,
                device=device,
                beside=beside,
                threads=1,
                workers=0,
                start_from=start_from,
                holdout=holdout,
                marks=marks,
            ),
            log=out / "child.log",
            on_event=on_event,
        )

    def predict(
        self, models: list[Path], out: Path, *, experiment: Experiment = EXPERIMENT
    ) -> pl.DataFrame:
        predict(
            PredictJob(
                experiment=experiment,
                models=tuple(models),
                crops=self.root,
                out=out,
                device="cpu",
                threads=1,
            ),
            log=out.with_suffix(".log"),
            on_event=ignore,
        )
        return pl.read_parquet(out)
