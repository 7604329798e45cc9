"""Phantom: the synthetic competition of runs without data of their own, written once."""

import shutil

from lsdc.challenges.hemorrhage.config.demo import DemoData
from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.store.files import write_folder
from lsdc.store.manifest import Manifest, make_manifest
from tasks.progress import steps_callback
from tasks.stage import stage

DEMO = DemoData()


@stage(
    "phantom",
    code=("lsdc.challenges.hemorrhage.phantom.writer",),
    libraries=("numpy", "pydicom"),
    uses=lambda _: {"challenge": "hemorrhage", "options": DEMO},
    run_name="phantom",
    timeout_hours=1,
)
def write_demo_data(run: HemorrhageRun) -> Manifest:
    """Write the phantom competition into the home."""
    # A run whose phantom exists does not need pydicom.
    from lsdc.challenges.hemorrhage.phantom.study import Order
    from lsdc.challenges.hemorrhage.phantom.writer import write_phantom

    with write_folder(run.root) as out:
        order = Order(**DEMO.model_dump())
        write_phantom(out, order, on_progress=steps_callback("phantom"))
        shutil.rmtree(run.data, ignore_errors=True)
        out.rename(run.data)
    files = [path for path in run.data.rglob("*") if path.is_file()]
    names = [path.relative_to(run.data).as_posix() for path in files]
    rows = DEMO.studies + DEMO.test
    return make_manifest(run.root, "phantom", run.data, rows=rows, names=names)
