"""The ink challenge's experiments by name: our own, the notes', and the winning code's.

>>> EXPERIMENTS.lineage("ink-7x7")
['ink-7x7', 'ink-drop', 'ink-shift', 'ink-notes', 'ink-second']
"""

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.experiments.defaults import Defaults
from lsdc.experiments.presets import Experiments

EXPERIMENTS = Experiments(
    Experiment,
    challenge="ink",
    package=__package__,
    files=("presets.toml", "second.toml", "notes.toml"),
)

DEFAULTS = Defaults(synthetic="ink-demo", on_gpu=("ink-second",), on_cpu="ink-small")
