"""Phantom: the synthetic competition of runs without data of their own, written once."""

from lsdc.challenges.hemorrhage.config.demo import DemoData
from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.store.manifest import Manifest
from tasks.common.phantom import replace_phantom
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

    order = Order(**DEMO.model_dump())
    return replace_phantom(
        run,
        lambda out: write_phantom(out, order, on_progress=steps_callback("phantom")),
        rows=order.total,
    )
