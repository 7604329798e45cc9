"""The page in a browser: links filter the table of cases, a case opens, nothing is loaded."""

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from lsdc.challenges.hemorrhage.challenge import HEMORRHAGE
from tests.challenges.hemorrhage.report.made_run import (
    SLICES,
    make_images,
    make_labels,
    predict,
    study_of,
    write_run,
)

pytestmark = pytest.mark.slow_training


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a report of a run with pictures, one of two runs, and one of a file."""
    root = tmp_path_factory.mktemp("home")
    write_run(root)
    home = write_run(root, "ich-demo@seed-1", seed=50)
    names = ["ich-demo", "ich-demo@seed-1"]
    one, other = (HEMORRHAGE.read_run(home, name) for name in names)
    labels = make_labels(make_images())
    names = [name for name in labels.columns if name != "image_id"]
    long = labels.unpivot(on=names, index="image_id")
    rows = long.select(ID=long["image_id"] + "_" + long["variable"], Label="value")
    rows.write_csv(root / "stage_2_train.csv")
    predict(labels, 3).write_csv(root / "file.csv")
    files = HEMORRHAGE.read_prediction_files([root / "file.csv"], root)
    for name, sources in {"one": [one], "two": [one, other], "file": files}.items():
        HEMORRHAGE.write_report(sources, root / f"{name}.html", images=6, say=print)
    return {name: root / f"{name}.html" for name in ("one", "two", "file")}


def rows(page: Page) -> list[list[str]]:
    found: list[list[str]] = page.eval_on_selector_all(
        "#case-table tr.case",
        "all => all.map(row => [...row.cells].map(cell => cell.innerText.split('\\n')[0]))",
    )
    return found


@pytest.mark.parametrize("name", ["one", "two", "file"])
def test_page_is_accessible_does_not_scroll_sideways_and_cuts_no_cell(
    opened: Callable[..., Page], reports: dict[str, Path], name: str
) -> None:
    page = opened(reports[name])
    for details in page.query_selector_all("details"):
        details.evaluate("each => each.open = true")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    cut = (
        "all => all.filter(cell => cell.scrollWidth > cell.clientWidth).map(cell => cell.innerText)"
    )
    assert page.eval_on_selector_all("#case-table tr.case > *", cut) == []
    page.click(".caselist a")
    page.wait_for_selector("dialog[open]")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_links_show_the_cases_of_a_label_and_of_a_study(
    opened: Callable[..., Page], reports: dict[str, Path]
) -> None:
    page = opened(reports["one"], "#cases?kind=subdural&label=1")
    page.wait_for_function("document.querySelector('select[name=label]').value === '1'")
    assert {row[2] for row in rows(page)} == {"Subdural"}
    assert {row[5] for row in rows(page)} == {"present"}
    page = opened(reports["one"], f"#cases?group={study_of(2)}")
    page.wait_for_function("document.querySelector('select[name=label]').value === ''")
    assert page.inner_text("#found").startswith(f"{6 * SLICES} of ")
    assert {row[0] for row in rows(page)} == {study_of(2)}


def test_a_case_opens_with_its_picture_beside_all_slices_of_its_study(
    opened: Callable[..., Page], reports: dict[str, Path]
) -> None:
    page = opened(reports["one"])
    key = page.get_attribute("[data-picture]", "data-picture") or ""
    page = opened(reports["one"], f"#case={key}")
    page.wait_for_selector("dialog[open]")
    study, number, label = key.rsplit("_", 2)
    assert page.inner_text("#case-title") == f"Study {study} · slice {number} · {label.title()}"
    assert page.eval_on_selector("#case-body img", "image => image.naturalWidth") == 720
    assert len(page.query_selector_all("#case-body .matrix tbody tr")) == SLICES
    assert len(page.query_selector_all("#case-body .matrix tbody td")) == 6 * SLICES


def test_a_case_of_a_file_has_the_labels_of_its_image(
    opened: Callable[..., Page], reports: dict[str, Path]
) -> None:
    page = opened(reports["file"])
    page.click(".caselist a")
    page.wait_for_selector("dialog[open]")
    assert page.inner_text("#case-title").startswith("Image ID_")
    assert len(page.query_selector_all("#case-body .matrix tbody td")) == 6
