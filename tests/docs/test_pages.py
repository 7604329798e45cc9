"""The pages are up to date with the code, and every command in them exists."""

import contextlib

import pytest
import typer

from docs import ink_notes_page
from docs.catalog_page import catalog_page, tables_of
from docs.commands_page import commands_page
from docs.drawings import DRAWINGS, PICTURES
from docs.notes_page import notes_page
from docs.python_page import python_page
from docs.settings_page import page_name, settings_page
from lsdc.challenges.challenge import Challenge
from lsdc.challenges.hemorrhage.config.presets import EXPERIMENTS as OF_HEAD_CT
from lsdc.challenges.registry import CHALLENGES
from tests.commands import load_command
from tests.docs.blocks import BLOCKS, ROOT, Block

LANGUAGES = {"sh", "console", "sql", "toml", "python", "text"}
# The blocks that no test runs, by page: what they need, and how they begin. The page says above
# each of them what it needs.
NOT_RUN = {
    "README.md": [
        ("the network", "make demo"),
        ("a GPU", "lsdc run-local --data rsna-2024 --home /big/disk/lsdc --folds 5"),
        ("a GPU", "lsdc trigger train-folds/default --experiment baseline"),
    ],
    "docs/how-to/experiments.md": [
        ("a GPU", "lsdc run-local --data rsna-2024 --experiment exp118")
    ],
    "docs/how-to/gpu.md": [
        ("a GPU", "make gpu-check"),
        ("a GPU", "lsdc run-local --data rsna-2024 --experiment baseline"),
    ],
    "docs/how-to/pack.md": [
        ("a run", "lsdc pack ich-demo --home ich-home"),
        ("a run", "lsdc pack ink-demo --home ink-home"),
    ],
    "docs/how-to/predict.md": [
        ("a run", "lsdc predict head-scans --run ich-demo"),
        ("a run", "lsdc predict fragments --run ink-demo"),
    ],
    "docs/how-to/pools.md": [
        ("a GPU", "lsdc trigger train-folds/default --experiment exp118"),
        ("a cluster", "export PREFECT_API_URL="),
        ("a cluster", "lsdc up --no-workers --host 0.0.0.0 --database postgresql:"),
        ("a cluster", "export LSDC_STORE=s3:"),
        ("a cluster", "docker build"),
    ],
    "docs/how-to/upgrades.md": [("the network", "pip install"), ("a cluster", "pg_dump")],
    "docs/tutorial/first-run.md": [("the network", "python3 -m venv")],
    "docs/tutorial/kaggle.md": [
        ("the network", "python3 -m venv"),
        ("a Kaggle account", "kaggle competitions download"),
        ("a GPU", "lsdc run-local --data rsna-2024 --home trial --experiment baseline"),
        ("a GPU", "lsdc run-local --data rsna-2024 --experiment baseline --folds 5 --only-fold 0"),
    ],
}
of_each_challenge = pytest.mark.parametrize("challenge", CHALLENGES, ids=lambda each: each.name)


def test_commands_page_is_up_to_date() -> None:
    made = "python -m docs.commands_page > docs/reference/commands.md"
    assert _reference("commands") == commands_page(), made


def test_python_page_is_up_to_date() -> None:
    made = "python -m docs.python_page > docs/reference/python.md"
    assert _reference("python") == python_page(), made


def test_page_of_the_notes_is_up_to_date() -> None:
    made = "python -m docs.notes_page > docs/reference/ich-notes.md"
    assert _reference("ich-notes") == notes_page(), made


def test_page_of_the_notes_on_ink_is_up_to_date() -> None:
    made = "python -m docs.ink_notes_page > docs/reference/ink-notes.md"
    assert _reference("ink-notes") == ink_notes_page.notes_page(), made


@pytest.mark.parametrize("name", ["ich-small", "ich-strong"])
def test_page_of_head_ct_has_the_expected_scores_and_costs(name: str) -> None:
    (row,) = [
        line for line in _reference("head-ct").splitlines() if line.startswith(f"| `{name}` |")
    ]
    expected = OF_HEAD_CT.load(name).expected
    costs = (expected.gpu_hours, expected.gpu_gb, expected.core_hours)
    ranges = ["{:g} to {:g}".format(*cost) for cost in costs if cost]
    assert [words for words in [expected.score_words, *ranges] if words not in row] == []
    assert len(ranges) == row.count(" to ") - bool(expected.score_words)


@of_each_challenge
@pytest.mark.parametrize("kind", ["settings", "catalog"])
def test_page_of_a_challenge_is_up_to_date(kind: str, challenge: Challenge) -> None:
    page = page_name(kind, challenge)
    made = {"settings": settings_page, "catalog": catalog_page}[kind](challenge)
    command = f"python -m docs.{kind}_page {challenge.name} > docs/reference/{page}"
    assert _reference(page.removesuffix(".md")) == made, command


@of_each_challenge
def test_every_table_and_column_of_the_catalog_is_described(challenge: Challenge) -> None:
    for table in tables_of(challenge).values():
        assert table.about().startswith("One row per ")
        assert all(table.descriptions().values())


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawing_is_up_to_date(name: str) -> None:
    drawn = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    assert drawn == DRAWINGS[name](), "python -m docs.drawings"


def test_every_block_has_a_language() -> None:
    assert [str(block) for block in BLOCKS if block.language not in LANGUAGES] == []


def test_every_command_is_in_a_block_that_can_be_run() -> None:
    hidden = [
        str(block)
        for block in BLOCKS
        if not block.script and any(line.startswith("lsdc ") for line in block.text.splitlines())
    ]
    assert hidden == []


def test_blocks_that_are_not_run_are_known() -> None:
    marked = [block for block in BLOCKS if block.needs]
    assert {block.page for block in marked} == set(NOT_RUN)
    for page, expected in NOT_RUN.items():
        here = [block for block in marked if block.page == page]
        assert [block.needs for block in here] == [needs for needs, _ in expected], page
        for block, (_, begins) in zip(here, expected, strict=True):
            assert block.script.startswith(begins), block


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.commands], ids=str)
def test_every_command_and_option_of_a_block_exists(block: Block) -> None:
    for arguments in block.commands:
        path: list[str] = []
        while hasattr(load_command(*path), "commands") and not arguments[0].startswith("-"):
            path.append(arguments.pop(0))
        with contextlib.suppress(typer.Exit):  # of --help and --version
            load_command(*path).make_context(" ".join(path), arguments)


def _reference(name: str) -> str:
    return (ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
