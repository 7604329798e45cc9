"""Write the documentation page of the settings, docs/reference/settings-ink.md."""

import sys

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.experiments.reference import as_markdown, describe_settings

_TITLE = """# Settings of the ink challenge
These settings can be changed with `--set KEY=VALUE` and in `lsdc-presets.toml`.
This page is generated from the declarations of the settings:
`python -m lsdc.challenges.ink.config > docs/reference/settings-ink.md`.
"""


def settings_page() -> str:
    """Return the page in Markdown."""
    return f"{_TITLE}\n{as_markdown(describe_settings(Experiment))}"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
