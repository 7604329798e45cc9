"""Phantom: the synthetic competition of runs without data of their own, written once."""

from lsdc.challenges.ink.config.demo import DemoData
from lsdc.challenges.ink.run import InkRun
from lsdc.store.manifest import Manifest
from tasks.common.phantom import replace_phantom
from tasks.progress import steps_callback
from tasks.stage import stage

DEMO = DemoData()


@stage(
    "phantom",
    code=("lsdc.challenges.ink.phantom.writer",),
    libraries=("numpy", "scipy", "tifffile"),
    uses=lambda _: {"challenge": "ink", "options": DEMO},
    run_name="phantom",
    timeout_hours=1,
)
def write_demo_data(run: InkRun) -> Manifest:
    """Write the phantom competition into the home."""
    # A run whose phantom exists does not need its libraries.
    from lsdc.challenges.ink.phantom.order import Order
    from lsdc.challenges.ink.phantom.writer import write_phantom

    order = Order(**DEMO.model_dump())
    return replace_phantom(
        run,
        lambda out: write_phantom(out, order, on_progress=steps_callback("phantom")),
        rows=DEMO.fragments + DEMO.test,
    )
