"""Marks: the slices that radiologists annotated, for a model that learns to tell them."""

from lsdc.challenges.lumbar.coordinates.moves import moved_back
from lsdc.challenges.lumbar.crops.marks import Marks, find_marks
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.store.files import write_folder
from lsdc.store.manifest import Manifest, store_folder
from lsdc.store.table_files import write_table
from tasks.stage import stage


@stage(
    "marks",
    code=("lsdc.challenges.lumbar.coordinates.moves", "lsdc.challenges.lumbar.crops.marks"),
    libraries=("numpy", "polars"),
    uses=lambda inputs: {
        "slices": inputs["run"].experiment.slices,
        "config": inputs["run"].experiment.crops,
    },
    run_name="marks",
    timeout_hours=1,
)
def mark_slices(
    run: LumbarRun,
    index: Manifest,
    annotations: Manifest,
    coordinates: Manifest,
    sides: Manifest,
    crops: Manifest,
) -> Manifest:
    """Find the slice of each sample that is annotated, or nearest to the annotated point."""
    with write_folder(run.root / "marks") as out:
        marks = find_marks(
            moved_back(run.table(index, "instances"), run.table(coordinates, "moves")),
            run.table(sides, "slices"),
            run.table(annotations, "annotations"),
            run.table(crops, "samples"),
            run.experiment.slices,
            run.experiment.crops,
        )
        write_table(Marks, marks, out / "marks.parquet")
        return store_folder(run.root, "marks", out, rows=len(marks))
