"""Report: a run's scores, where they are lost, and cases to look at, as one HTML page."""

from collections.abc import Sequence

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.report import REPORT
from lsdc.store.files import digest_file
from lsdc.store.manifest import Manifest, make_manifest
from lsdc.store.runs import read_record
from tasks.former import OOF_FILES
from tasks.stage import stage


@stage(
    "report",
    code=("lsdc.challenges.lumbar.report.write", "lsdc.challenges.lumbar.report.figures.sources"),
    libraries=("jinja2", "numpy", "polars"),
    uses=lambda inputs: {
        "run": inputs["run"].name,
        "record": read_record(inputs["run"].folder),
        "experiment": inputs["run"].experiment,
        "scored": [digest_file(inputs["run"].folder / name) for name in OOF_FILES],
    },
    run_name="report",
    timeout_hours=1,
)
def make_report(
    run: LumbarRun,
    trained: Sequence[Manifest],  # noqa: ARG001 (a part of the key, as is the next)
    results: Sequence[Manifest],  # noqa: ARG001
) -> Manifest:
    """Write the report of the scored run into its folder.

    It shows the records of the trained folds and tables of the other results, too.
    """
    # They load numpy and Jinja, which a run with a stored report does not need.
    from lsdc.challenges.lumbar.report.figures.sources import read_run
    from lsdc.challenges.lumbar.report.write import write_report

    write_report([read_run(run.home, run.name)], run.folder / REPORT)
    return make_manifest(run.root, "report", run.folder, rows=1, names=[REPORT])
