"""Report: a run's scores, where they are lost, and cases to look at, as one HTML page."""

from collections.abc import Sequence

from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.store.manifest import Manifest
from tasks.common.report import shown_of_run, store_report
from tasks.stage import stage


@stage(
    "report",
    code=(
        "lsdc.challenges.hemorrhage.report.card",
        "lsdc.challenges.hemorrhage.report.page.build",
        "lsdc.challenges.hemorrhage.report.pictures.cases",
    ),
    libraries=("jinja2", "numpy", "pillow", "polars", "scikit-learn", "scipy"),
    uses=shown_of_run,
    run_name="report",
    timeout_hours=1,
)
def make_report(
    run: HemorrhageRun,
    trained: Sequence[Manifest],  # noqa: ARG001 (a part of the key, as is the next)
    results: Sequence[Manifest],  # noqa: ARG001
) -> Manifest:
    """Write the report and the model card of the scored run into its folder.

    They show the records of the trained folds and tables of the other results, too.
    """
    # They load numpy, Jinja and more, which a run with a stored report does not need.
    from lsdc.challenges.hemorrhage.report.card import build_card
    from lsdc.challenges.hemorrhage.report.figures.sources import read_run
    from lsdc.challenges.hemorrhage.report.page.build import build_report
    from lsdc.challenges.hemorrhage.report.pictures.cases import images_of_cases

    source = read_run(run.home, run.name)
    images = images_of_cases(run.home, run.name, run.images)
    return store_report(run, build_report([source], images), build_card(source))
