"""Write docs/settings.md: `python -m lsdc.challenges.lumbar.config > docs/settings.md`."""

import sys

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.experiments.reference import as_markdown, describe_settings

_TITLE = """# Settings
What `--set KEY=VALUE` and `lsdc-presets.toml` change. `lsdc experiments explain KEY`
says the same of a setting or a section, `lsdc experiments show NAME --describe` of an experiment's.
This page is made of their declarations:
`python -m lsdc.challenges.lumbar.config > docs/settings.md`.
"""


def settings_page() -> str:
    """Return the page in Markdown."""
    return f"{_TITLE}\n{as_markdown(describe_settings(Experiment))}"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
