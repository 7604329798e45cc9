"""The documentation site: `make docs` builds it from the Markdown pages into build/docs."""

import re

from sphinx.application import Sphinx

project = "lsdc"
author = "the authors of lsdc"
root_doc = "docs/index"
language = "en"
extensions = ["myst_parser"]

# The source folder is the root of the repository, so that a link works as it does on GitHub.
include_patterns = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/RESULTS.md"),
    "docs/**.md",
]
exclude_patterns = [
    *(".*", "build", "lsdc", "lsdc-home", "tasks", "flows", "deployments", "tests", "*.egg-info"),
]
myst_heading_anchors = 4
nitpicky = True
highlight_language = "none"

html_theme = "pydata_sphinx_theme"
html_title = "lsdc"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["lsdc.css"]
html_js_files = ["lsdc.js"]
html_extra_path = ["_static/index.html"]  # of the site's root, which leads to docs/index.html
html_copy_source = False
html_show_copyright = False
html_context = {"default_mode": "auto"}
html_sidebars = {"docs/index": []}
html_theme_options = {
    "logo": {"text": "lsdc"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["sphinx-version"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

_ENTRY = re.compile(r"^(?:- |\| )?\**\[([^]]+)\]\(([\w./-]+)\.md\)", re.MULTILINE)


def setup(app: Sphinx) -> None:
    """Let the pages that list others be the site's navigation."""
    app.connect("source-read", _add_contents)


def _add_contents(_: Sphinx, page: str, source: list[str]) -> None:
    """Append a table of contents to an index: the links at the start of its lines.

    So the lists read well on GitHub, too. A page that no index lists is a warning of Sphinx.
    """
    if page == "docs/project" or page.endswith("/index"):
        entries = "\n".join(f"{title} <{path}>" for title, path in _ENTRY.findall(source[0]))
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n"
