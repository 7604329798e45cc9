"""Phantom: the synthetic competition of runs without data of their own, written once."""

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.store.manifest import Manifest
from tasks.common.phantom import replace_phantom
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

    order = Order(studies=STUDIES, test=TEST, seed=SEED, max_size=MAX_SIZE)
    return replace_phantom(
        run,
        lambda out: write_phantom(out, order, on_progress=steps_callback("phantom")),
        rows=order.total,
    )
