"""The lumbar challenge's experiments by name: our own, and the entries of the lab log.

>>> EXPERIMENTS.lineage("demo")
['demo', 'baseline']
"""

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.experiments.defaults import Defaults
from lsdc.experiments.presets import Experiments

EXPERIMENTS = Experiments(
    Experiment,
    challenge="lumbar",
    package=__package__,
    files=(
        "presets.toml",
        "winners.toml",
        "journal.toml",
        "log/001-040.toml",
        "log/041-080.toml",
        "log/081-116.toml",
        "log/117-151.toml",
        "log/153-190.toml",
    ),
)

DEFAULTS = Defaults(
    synthetic="demo", on_gpu=("winners-joint", "winners-joint-low-memory"), on_cpu="small"
)
