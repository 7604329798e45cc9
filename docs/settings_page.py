"""Write the reference of a challenge's settings, such as docs/reference/settings.md."""

import sys

from lsdc.challenges.challenge import Challenge
from lsdc.challenges.registry import CHALLENGES, challenge_named
from lsdc.experiments.reference import as_markdown, describe_settings

_PAGE = """# Settings: {title}
These settings can be changed with `--set KEY=VALUE` and in `lsdc-presets.toml`.
`lsdc experiments explain KEY` describes a setting or a section, and
`lsdc experiments show NAME --describe` the settings of an experiment.
This page is generated from the declarations of the settings:
`python -m docs.settings_page {name} > docs/reference/{page}`.

{settings}"""


def page_name(kind: str, challenge: Challenge) -> str:
    """Return the file name of a challenge's page; that of the first one has no suffix."""
    return f"{kind}.md" if challenge is CHALLENGES[0] else f"{kind}-{challenge.name}.md"


def settings_page(challenge: Challenge) -> str:
    """Return the page in Markdown."""
    return _PAGE.format(
        title=challenge.title,
        name=challenge.name,
        page=page_name("settings", challenge),
        settings=as_markdown(describe_settings(challenge.experiments.config)),
    )


if __name__ == "__main__":
    sys.stdout.write(settings_page(challenge_named(sys.argv[1])))
