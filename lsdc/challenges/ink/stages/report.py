"""Report: a run's scores, its maps beside the labels, and what makes masks better, as a page."""

from collections.abc import Sequence

from lsdc.challenges.ink.run import InkRun
from lsdc.report import CARD, REPORT
from lsdc.store.files import digest_file
from lsdc.store.manifest import Manifest, make_manifest
from lsdc.store.runs import read_record
from tasks.former import OOF_FILES
from tasks.stage import stage


@stage(
    "report",
    code=("lsdc.challenges.ink.report.write",),
    libraries=("jinja2", "numpy", "opencv-python-headless", "pillow", "polars"),
    uses=lambda inputs: {
        "run": inputs["run"].name,
        "record": read_record(inputs["run"].folder),
        "experiment": inputs["run"].experiment,
        "images": inputs["run"].images,
        "scored": [digest_file(inputs["run"].folder / name) for name in OOF_FILES],
    },
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
    from lsdc.challenges.ink.report.sources import read_run
    from lsdc.challenges.ink.report.write import write_card, write_report

    source = read_run(run.home, run.name)
    write_report([source], run.folder / REPORT, images=run.images)
    write_card(source, run.folder / CARD)
    return make_manifest(run.root, "report", run.folder, rows=2, names=[REPORT, CARD])
