"""The page in a browser: it filters, sorts, opens cases, and is accessible.

Chromium draws it wide and narrow, light and dark. A message on the console or a request fails the
test.
"""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from lsdc.challenges.lumbar.report.figures.sources import read_run
from lsdc.challenges.lumbar.report.page.build import build_report
from lsdc.challenges.lumbar.report.page.gallery import Images
from lsdc.report.pictures import Picture
from tests.challenges.lumbar.report.made_run import write_run

pytestmark = pytest.mark.slow_training

# A WebP image of one pixel.
PIXEL = bytes.fromhex("524946461a000000574542505650384c0d0000002f00000010071011118888fe0700")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a report of one run with a picture, and one of two runs."""
    root = tmp_path_factory.mktemp("home")
    write_run(root)
    home = write_run(root, "demo@seed-1", seed=50, changed={"seed": 1})
    first, other = read_run(home, "demo"), read_run(home, "demo@seed-1")
    worst = first.scored.cases.sort("cost", descending=True)["row_id"][0]
    pictures = {worst: Picture(PIXEL, 1, 1, ("Sagittal T2, image 7",))}
    images = Images(8, lambda _: pictures)
    found = {"one": build_report([first], images), "two": build_report([first, other])}
    for name, html in found.items():
        (root / f"{name}.html").write_text(html, encoding="utf-8")
    return {name: root / f"{name}.html" for name in found}


def rows(page: Page) -> list[list[str]]:
    return page.eval_on_selector_all(
        "#case-table tr.case",
        "all => all.map(row => [...row.cells].map(cell => cell.innerText.split('\\n')[0]))",
    )


def share(text: str) -> float:
    """Return the number of a share in per cent; 0 for one that is too small to be told."""
    return 0.0 if text.startswith("<") else float(text.split()[0])


@pytest.mark.parametrize("name", ["one", "two"])
def test_no_cell_of_the_table_is_cut_and_rows_have_their_height(opened, reports, name) -> None:
    page = opened(reports[name])
    cells = "#case-table tr.case > *"
    cut = (
        "all => all.filter(cell => cell.scrollWidth > cell.clientWidth).map(cell => cell.innerText)"
    )
    assert page.eval_on_selector_all(cells, cut) == []
    heights = page.eval_on_selector_all(
        "#case-table tr.case", "all => all.map(row => row.offsetHeight)"
    )
    wanted = "parseInt(getComputedStyle(document.documentElement).getPropertyValue('--row'))"
    assert set(heights) == {page.evaluate(wanted)}
    heads = [head.inner_text() for head in page.query_selector_all("#case-table th:visible")]
    assert {"Label", "Prediction", "Change" if name == "two" else "Share of score"} <= set(heads)


def test_mark_below_a_bar_points_to_the_label(opened, reports) -> None:
    page = opened(reports["one"])
    page.click(".caselist a >> nth=0")
    page.wait_for_selector("dialog[open]")
    label = page.inner_text("#case-body b")
    boxes = page.eval_on_selector_all(
        "#case-body .marked i", "all => all.map(each => each.getBoundingClientRect().toJSON())"
    )
    *parts, mark = boxes
    assert mark["width"] >= 8
    assert mark["top"] >= parts[0]["bottom"]
    part = parts[["normal/mild", "moderate", "severe"].index(label)]
    middles = [box["left"] + box["width"] / 2 for box in (mark, part)]
    assert middles[0] == pytest.approx(middles[1], abs=6)


@pytest.mark.parametrize("name", ["one", "two"])
def test_page_is_accessible_and_does_not_scroll_sideways(opened, reports, name: str) -> None:
    page = opened(reports[name])
    for details in page.query_selector_all("details"):
        details.evaluate("each => each.open = true")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0
    page.click(".caselist a")
    page.wait_for_selector("dialog[open]")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_filters_sorting_and_cells_choose_the_cases(opened, reports) -> None:
    page = opened(reports["one"])
    total = page.inner_text("#found").split(" cases")[0]
    page.select_option("select[name=level]", label="L4/L5")
    page.select_option("select[name=label]", label="severe")
    assert {row[2] for row in rows(page)} == {"L4/L5"}
    assert all("severe" in row[4] for row in rows(page))
    assert f"of {total} cases" in page.inner_text("#found")
    for order, arrow, number in (("descending", "↓", -1), ("ascending", "↑", 1)):
        if order == "ascending":
            page.click("thead button:has-text('Share')")
        assert page.get_attribute("th[aria-sort]", "aria-sort") == order
        shown = "cell => getComputedStyle(cell, '::after').content"
        assert arrow in page.eval_on_selector("th[aria-sort] button", shown)
        shares = [number * share(row[-1]) for row in rows(page)]
        assert shares == sorted(shares)
    page.click("text=Show all")
    page.wait_for_function(f"document.getElementById('found').textContent.startsWith('{total} ')")
    page.click(".heat a >> nth=1")
    page.wait_for_function("document.querySelector('select[name=level]').value === '1'")
    assert {(row[1], row[2]) for row in rows(page)} == {("Spinal canal", "L2/L3")}
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.click(".heat a[href$='extra=yes']")
    page.wait_for_function("document.querySelector('select[name=extra]').value === 'yes'")
    found = rows(page)
    assert len({row[0] for row in found}) == len(found) > 1
    assert {row[1] for row in found} == {"Spinal canal"}
    shares = [share(row[-2]) for row in found]
    assert shares == sorted(shares, reverse=True)


def test_a_cell_and_its_cases_have_the_same_share_of_the_score(opened, reports) -> None:
    page = opened(reports["one"])
    cells = page.eval_on_selector_all(
        ".heat >> nth=0 >> a", "all => all.map(a => [a.getAttribute('href'), a.innerText])"
    )
    assert len(cells) > 30
    for href, text in cells:
        page.goto(f"{reports['one'].as_uri()}{href}")
        wanted = dict(each.split("=") for each in href.split("?")[1].split("&"))
        page.wait_for_function(
            "wanted => Object.entries(wanted).every(([name, id]) =>"
            " document.querySelector(`select[name=${name}]`).value !== '')",
            arg=wanted,
        )
        found = page.inner_text("#found")
        whole = share(found.split("cases, ")[1])
        by_labels, _, severe = found.partition(": ")[2].partition(", ")
        shown = share(text.split("\n")[0])
        if wanted.get("extra"):
            assert share(severe) == pytest.approx(shown, abs=0.11), href
        elif "condition" in wanted and severe:
            assert share(by_labels) == pytest.approx(shown, abs=0.11), href
        else:
            assert whole == pytest.approx(shown, abs=0.11), href


def test_unknown_case_in_a_link_is_said(opened, reports) -> None:
    page = opened(reports["one"], "#case=nonsense")
    page.wait_for_function("document.getElementById('found').textContent.includes('nonsense')")


def test_link_opens_its_case_with_picture_and_keys_move_on(opened, reports) -> None:
    page = opened(reports["one"])
    key = page.get_attribute("[data-picture]", "data-picture")
    page = opened(reports["one"], f"#case={key}")
    page.reload()
    page.wait_for_selector("dialog[open]")
    assert key.split("_")[0] in page.inner_text("#case-title")
    page.click("#case-body summary")
    assert "Sagittal T2, image 7" in page.inner_text("#case-body")
    assert page.eval_on_selector("#case-body img", "image => image.naturalWidth") == 1
    legend = page.inner_text("#case-body")
    assert "First square: label; second: prediction; number: loss." in legend
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"!location.hash.endsWith('{key}')")
    assert page.query_selector("#case-body img") is None
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"location.hash.endsWith('{key}')")
    page.click(".matrix button >> nth=3")
    page.wait_for_function(f"!location.hash.endsWith('{key}')")
    page.keyboard.press("Escape")
    page.wait_for_function("!document.querySelector('dialog').open && !location.hash")


def test_rows_are_reached_by_keys_although_few_exist(opened, reports) -> None:
    page = opened(reports["one"])
    count = int(page.inner_text("#found").split()[0])
    assert 10 < len(rows(page)) < count
    page.keyboard.press("/")
    page.keyboard.type("104")
    assert {row[0] for row in rows(page)} == {"104"}
    page.click("text=Show all")
    page.wait_for_function(f"document.getElementById('found').textContent.startsWith('{count} ')")
    page.focus("tr.case a")
    page.keyboard.press("End")
    page.wait_for_function(
        f"document.activeElement.closest('tr')?.getAttribute('aria-rowindex') === '{count + 1}'"
    )
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")


def test_two_runs_show_both_predictions_and_the_change(opened, reports, request) -> None:
    page = opened(reports["two"])
    page.select_option("select[name=change]", label="another prediction")
    page.click(".caselist a >> nth=0")
    page.wait_for_selector("dialog[open]")
    assert page.eval_on_selector_all(".answers .bars", "all => all.length") == 2
    body = page.inner_text("#case-body")
    assert "demo@seed-1" in body
    look = request.node.callspec.params["opened"]
    assert look.startswith("phone") or "Change" in page.inner_text("#case-table thead")
