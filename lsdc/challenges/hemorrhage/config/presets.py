"""The haemorrhage challenge's experiments by name: our own, and those of the notes.

>>> EXPERIMENTS.lineage("ich-demo")
['ich-demo', 'ich-baseline']
"""

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.experiments.defaults import Defaults
from lsdc.experiments.presets import Experiments

EXPERIMENTS = Experiments(
    Experiment, challenge="hemorrhage", package=__package__, files=("presets.toml", "log.toml")
)

DEFAULTS = Defaults(synthetic="ich-demo", on_gpu=("ich-strong",), on_cpu="ich-small")
