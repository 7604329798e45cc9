"""Write the documentation page of the settings, docs/reference/settings.md."""

import sys

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.experiments.reference import as_markdown, describe_settings

_TITLE = """# Settings
These settings can be changed with `--set KEY=VALUE` and in `lsdc-presets.toml`.
`lsdc experiments explain KEY` describes a setting or a section, and
`lsdc experiments show NAME --describe` the settings of an experiment.
This page is generated from the declarations of the settings:
`python -m lsdc.challenges.lumbar.config > docs/reference/settings.md`.
"""


def settings_page() -> str:
    """Return the page in Markdown."""
    return f"{_TITLE}\n{as_markdown(describe_settings(Experiment))}"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
