"""Submission: masks of the test fragments as runs, for every row of the sample submission."""

from lsdc.challenges.ink.competition.tables import open_competition
from lsdc.challenges.ink.masks.encode import encode_masks
from lsdc.challenges.ink.masks.rules import RULES, Rules
from lsdc.challenges.ink.run import InkRun
from lsdc.challenges.ink.scoring.submission import write_submission
from lsdc.store.files import digest_file
from lsdc.store.manifest import Manifest, make_manifest
from tasks.former import SUBMISSION_FILES, keeping_submission
from tasks.stage import stage


@stage(
    "submission",
    code=(
        "lsdc.challenges.ink.masks.encode",
        "lsdc.challenges.ink.masks.rules",
        "lsdc.challenges.ink.scoring.submission",
        "lsdc.challenges.ink.competition.tables",
    ),
    libraries=("numpy", "opencv-python-headless", "polars", "scipy"),
    uses=lambda inputs: {
        "name": inputs["run"].experiment.name,
        "rows": open_competition(inputs["run"].data).row_ids,
        "rule": digest_file(inputs["run"].folder / RULES),
    },
    run_name="submission",
    timeout_hours=2,
)
def assemble_submission(run: InkRun, volumes: Manifest, maps: Manifest) -> Manifest:
    """Write the submission, by the rule that is fitted on all folds."""
    wanted, rule = open_competition(run.data).row_ids, Rules.read(run.folder).final
    runs = encode_masks(wanted, run.at_home(maps).folder(run.root), volumes.folder(run.root), rule)
    out = run.folder
    with keeping_submission(out):
        rows = write_submission(runs, wanted, out / SUBMISSION_FILES[0])
    return make_manifest(run.root, "submission", out, rows=rows, names=SUBMISSION_FILES)
