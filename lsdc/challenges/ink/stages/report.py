"""Report: a run's scores, where they are lost, and pictures of its masks, as one HTML page."""

from collections.abc import Sequence

from lsdc.challenges.ink.run import InkRun
from lsdc.store.manifest import Manifest
from tasks.common.report import shown_of_run, store_report
from tasks.stage import stage


@stage(
    "report",
    code=("lsdc.challenges.ink.report.build", "lsdc.challenges.ink.report.card"),
    libraries=("jinja2", "numpy", "opencv-python-headless", "pillow", "polars"),
    uses=shown_of_run,
    run_name="report",
    timeout_hours=1,
)
def make_report(
    run: InkRun,
    trained: Sequence[Manifest],  # noqa: ARG001 (a part of the key, as is the next)
    results: Sequence[Manifest],  # noqa: ARG001
) -> Manifest:
    """Write the report and the model card of the scored run into its folder."""
    # They load numpy, Jinja and more, which a run with a stored report does not need.
    from lsdc.challenges.ink.report.build import build_report
    from lsdc.challenges.ink.report.card import build_card
    from lsdc.challenges.ink.report.sources import read_run

    source = read_run(run.home, run.name)
    return store_report(run, build_report([source], run.images), build_card(source))
