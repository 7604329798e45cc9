"""Put finished runs into a bundle."""

from collections.abc import Sequence
from pathlib import Path

from lsdc.challenges.hemorrhage.pack.layout import KIND, prior_rows_of
from lsdc.challenges.hemorrhage.predict.models import TrainedModels, models_of_run
from lsdc.pack import write
from lsdc.pack.layout import PackedRun
from lsdc.pack.libraries import Image
from lsdc.pack.write import Bundle, Content, run_part, write_run
from lsdc.store.home import Home


def write_bundle(
    home: Home, names: Sequence[str], out: Path, *, image: Image, wheels: bool = False
) -> Bundle:
    """Write a bundle that predicts test images by the mean of some runs.

    Args:
        home: the home of the runs.
        names: the names of the runs.
        out: see `lsdc.pack.write.write_bundle`, as for the others.
        image: the machine that it is made for.
        wheels: whether to download libraries that this machine lacks.

    Raises:
        DataError: a run lacks something that predictions need, or `out` holds other files.
        SettingsError: a run is named twice.
        StageError: pip cannot download a wheel.
    """

    def put(made: Path) -> Content:
        runs = [put_run(models_of_run(home, name), home.run(name), made) for name in names]
        # Its models see slices one by one: none of them has a 3-D encoder.
        return Content(runs, [run_part(run) for run in runs], unused=frozenset({"monai"}))

    return write.write_bundle(names, out, KIND, put, image=image, wheels=wheels)


def put_run(models: TrainedModels, run: Path, made: Path) -> PackedRun:
    """Put the models of a run, and what their predictions need, into the folder of a bundle.

    Args:
        models: the models.
        run: the folder of the run, which the weights lie in.
        made: the folder of the bundle.
    """
    return write_run(
        made,
        run,
        experiment=models.experiment,
        prior=prior_rows_of(models.prior),
        folds=[*models.folds],
        weights={path.relative_to(run).as_posix(): path for path in models.weights},
    )
