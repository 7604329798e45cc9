"""Report: a run's scores, where they are lost, and cases to look at, as one HTML page."""

from collections.abc import Sequence

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.store.manifest import Manifest
from tasks.common.report import shown_of_run, store_report
from tasks.stage import stage


@stage(
    "report",
    code=(
        "lsdc.challenges.lumbar.report.card",
        "lsdc.challenges.lumbar.report.page.build",
        "lsdc.challenges.lumbar.report.figures.sources",
        "lsdc.challenges.lumbar.explain.gallery",
    ),
    libraries=(
        *("jinja2", "numpy", "opencv-python-headless", "pillow", "polars", "scikit-learn", "scipy"),
        *("timm", "torch"),
    ),
    uses=shown_of_run,
    run_name="report",
    timeout_hours=1,
)
def make_report(
    run: LumbarRun,
    trained: Sequence[Manifest],  # noqa: ARG001 (a part of the key, as is the next)
    results: Sequence[Manifest],  # noqa: ARG001
) -> Manifest:
    """Write the report and the model card of the scored run into its folder.

    They show the records of the trained folds and tables of the other results, too.
    """
    # They load numpy, Jinja and more, which a run with a stored report does not need.
    from lsdc.challenges.lumbar.explain.gallery import images_of
    from lsdc.challenges.lumbar.report.card import build_card
    from lsdc.challenges.lumbar.report.figures.sources import read_run
    from lsdc.challenges.lumbar.report.page.build import build_report

    source = read_run(run.home, run.name)
    # This host may have no GPU, although the workers that trained the folds have.
    device = "cpu" if run.device == "cpu" else "auto"
    cases = 0 if source.members else run.images  # an ensemble has no crops of its own
    images = images_of(source, cases, device=device, threads=run.threads)
    return store_report(run, build_report([source], images), build_card(source))
