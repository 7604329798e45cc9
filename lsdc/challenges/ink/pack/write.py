"""Put finished runs into a bundle."""

from collections.abc import Sequence
from pathlib import Path

from lsdc.challenges.ink.masks.rules import mean_rule
from lsdc.challenges.ink.pack.layout import KIND, PRIOR_ROWS, write_rule
from lsdc.challenges.ink.predict.models import TrainedModels, models_of_run
from lsdc.pack import write
from lsdc.pack.layout import MODELS, PackedRun
from lsdc.pack.libraries import Image
from lsdc.pack.write import Bundle, Content, run_part, write_run
from lsdc.store.home import Home


def write_bundle(
    home: Home, names: Sequence[str], out: Path, *, image: Image, wheels: bool = False
) -> Bundle:
    """Write a bundle that predicts test fragments by the mean of some runs' maps.

    Args:
        home: the home of the runs.
        names: the names of the runs.
        out: see `lsdc.pack.write.write_bundle`, as for the others.
        image: the machine that it is made for.
        wheels: whether to download libraries that this machine lacks.

    Raises:
        DataError: a run lacks something that predictions need, or `out` holds other files.
        SettingsError: a run is named twice, or the runs make masks by different kinds of rules.
        StageError: pip cannot download a wheel.
    """

    def put(made: Path) -> Content:
        models = [models_of_run(home, name) for name in names]
        mean_rule({each.name: each.rule for each in models})
        runs = [put_run(each, home.run(each.name), made) for each in models]
        return Content(runs, [run_part(run) for run in runs])

    return write.write_bundle(names, out, KIND, put, image=image, wheels=wheels)


def put_run(models: TrainedModels, run: Path, made: Path) -> PackedRun:
    """Put the models of a run, and what their predictions need, into the folder of a bundle.

    Args:
        models: the models.
        run: the folder of the run, which the weights lie in.
        made: the folder of the bundle.
    """
    packed = write_run(
        made,
        run,
        experiment=models.experiment,
        prior=PRIOR_ROWS,
        folds=[*models.folds],
        weights={path.relative_to(run).as_posix(): path for path in models.weights},
    )
    write_rule(models.rule, made / MODELS / run.name)
    return packed
