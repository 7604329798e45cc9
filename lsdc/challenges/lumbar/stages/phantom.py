"""Phantom: the synthetic competition of runs without data of their own, written once."""

import shutil

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.store.files import write_folder
from lsdc.store.manifest import Manifest, make_manifest
from tasks.progress import steps_callback
from tasks.stage import stage

STUDIES, TEST, SEED, MAX_SIZE = 40, 4, 0, 192


@stage(
    "phantom",
    code=("lsdc.challenges.lumbar.phantom.writer",),
    libraries=("numpy", "pydicom"),
    uses=lambda _: {"studies": STUDIES, "test": TEST, "seed": SEED, "max_size": MAX_SIZE},
    run_name="phantom",
    timeout_hours=1,
)
def write_demo_data(run: LumbarRun) -> Manifest:
    """Write the phantom competition into the home."""
    # A run whose phantom exists does not need pydicom.
    from lsdc.challenges.lumbar.phantom.study import Order
    from lsdc.challenges.lumbar.phantom.writer import write_phantom

    with write_folder(run.root) as out:
        write_phantom(
            out,
            Order(studies=STUDIES, test=TEST, seed=SEED, max_size=MAX_SIZE),
            on_progress=steps_callback("phantom"),
        )
        shutil.rmtree(run.data, ignore_errors=True)
        out.rename(run.data)
    files = [path for path in run.data.rglob("*") if path.is_file()]
    names = [path.relative_to(run.data).as_posix() for path in files]
    return make_manifest(run.root, "phantom", run.data, rows=STUDIES + TEST, names=names)
