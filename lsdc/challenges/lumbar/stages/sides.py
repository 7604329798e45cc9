"""Sides: distinguish left and right by position in patient space."""

from lsdc.challenges.lumbar.coordinates.moves import moved_back
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from lsdc.dicom_index.listing import Split
from lsdc.store.files import write_folder
from lsdc.store.manifest import Manifest, store_folder
from tasks.stage import stage


@stage(
    "sides",
    code=(
        "lsdc.challenges.lumbar.coordinates.moves",
        "lsdc.challenges.lumbar.slices.slice_offsets",
    ),
    libraries=("numpy", "polars"),
    uses=lambda _: {},
    run_name="sides {split}",
    timeout_hours=1,
)
def fix_sides(
    run: LumbarRun,
    split: Split,  # noqa: ARG001 (it names the task run)
    index: Manifest,
    coordinates: Manifest,
    annotations: Manifest | None = None,
) -> Manifest:
    """Measure every slice against every level point of its study; place annotations, if any."""
    given = None if annotations is None else run.table(annotations, "annotations")
    with write_folder(run.root / "sides") as out:
        rows = measure_offsets(
            moved_back(run.table(index, "instances"), run.table(coordinates, "moves")),
            run.table(coordinates, "points"),
            given,
            out,
            landmarks=run.table(coordinates, "landmarks"),
        )
        return store_folder(run.root, "sides", out, rows=rows)
