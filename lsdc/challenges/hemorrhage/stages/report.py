"""Report: a run's scores, where they are lost, and cases to look at, as one HTML page."""

from collections.abc import Sequence

from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.report import CARD, REPORT
from lsdc.store.files import digest_file
from lsdc.store.manifest import Manifest, make_manifest
from lsdc.store.runs import read_record
from tasks.former import OOF_FILES
from tasks.stage import stage


@stage(
    "report",
    code=(
        "lsdc.challenges.hemorrhage.report.write",
        "lsdc.challenges.hemorrhage.report.pictures.cases",
    ),
    libraries=("jinja2", "numpy", "pillow", "polars", "scikit-learn", "scipy"),
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
    run: HemorrhageRun,
    trained: Sequence[Manifest],  # noqa: ARG001 (a part of the key, as is the next)
    results: Sequence[Manifest],  # noqa: ARG001
) -> Manifest:
    """Write the report and the model card of the scored run into its folder.

    They show the records of the trained folds and tables of the other results, too.
    """
    # They load numpy, Jinja and more, which a run with a stored report does not need.
    from lsdc.challenges.hemorrhage.report.figures.sources import read_run
    from lsdc.challenges.hemorrhage.report.pictures.cases import images_of_cases
    from lsdc.challenges.hemorrhage.report.write import write_card, write_report

    source = read_run(run.home, run.name)
    images = images_of_cases(run.home, run.name, run.images)
    write_report([source], run.folder / REPORT, images)
    write_card(source, run.folder / CARD)
    return make_manifest(run.root, "report", run.folder, rows=2, names=[REPORT, CARD])
