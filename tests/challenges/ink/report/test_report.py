"""The report and the model card of a run: its scores, its pictures, and what it warns of."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from lsdc.challenges.ink.challenge import INK
from lsdc.challenges.ink.masks.rule import make_mask
from lsdc.challenges.ink.report.card import build_card
from lsdc.challenges.ink.report.pictures import draw_region
from lsdc.challenges.ink.report.views import see
from lsdc.errors import DataError, SettingsError
from lsdc.store.home import Home
from tests.challenges.ink.made_run import write_run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home")
    write_run(root)
    return write_run(root, "ink-demo@seed-1", seed=1)


def page(home: Home, out: Path, *names: str, images: int = 12) -> str:
    sources = [INK.read_run(home, name) for name in names]
    INK.write_report(sources, out, images=images, say=print)
    return out.read_text()


def test_report_has_the_scores_and_a_picture_of_each_region(home: Home, tmp_path: Path) -> None:
    text = page(home, tmp_path / "report.html", "ink-demo")
    scores = json.loads((home.run("ink-demo") / "scores.json").read_text())
    assert f"{scores['score']:.4f}" in text
    assert text.count("data:image/webp;base64,") == 5  # three regions, a test fragment, the folds
    for words in ("Fold 2: region 2-1", "Test fragment a", "two thresholds", "0.6624"):
        assert words in text
    assert "<script" not in text  # without cases there is nothing to filter


def test_report_without_images_has_none(home: Home, tmp_path: Path) -> None:
    assert "data:image/webp" not in page(home, tmp_path / "a.html", "ink-demo", images=0)


def test_two_runs_are_shown_beside_each_other(home: Home, tmp_path: Path) -> None:
    text = page(home, tmp_path / "two.html", "ink-demo", "ink-demo@seed-1")
    assert "Settings that differ" in text
    assert "Ways to make masks: ink-demo@seed-1" in text


def test_card_has_the_scores_and_the_rule(home: Home) -> None:
    source = INK.read_run(home, "ink-demo")
    text = build_card(source)
    assert source.rules.final.describe() in text
    assert f"| mean | {source.scores['score']:.4f} |" in text


def test_a_leaky_run_is_warned_of(home: Home, tmp_path: Path) -> None:
    other = write_run(tmp_path / "home")
    path = other.run("ink-demo") / "scores.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"leaky": True}))
    assert "is leaky" in page(other, tmp_path / "a.html", "ink-demo", images=0)


def test_a_picture_of_gone_arrays_is_left_out(tmp_path: Path) -> None:
    home = write_run(tmp_path / "home")
    source = INK.read_run(home, "ink-demo")
    for path in home.root.glob("volumes/*/1/volume.npy"):
        path.unlink()
    assert draw_region(source, source.regions.filter(region="1")) is None
    assert draw_region(source, source.regions.filter(region="2-0")) is not None


@pytest.mark.parametrize("name", ["1", "2", "2-1", "a"])
def test_inspect_writes_a_page_with_all_layers(home: Home, tmp_path: Path, name: str) -> None:
    out = tmp_path / "a.html"
    INK.inspect(home, "ink-demo", name, out)
    text = out.read_text()
    layers = re.search(r"const layers = (\[.*?\]);", text)
    assert layers is not None
    assert len(json.loads(layers[1])) == 65
    overlays = re.findall(r'data-over="(\w+)"', text)
    assert overlays == (
        ["Probability", "Mask"] if name == "a" else ["Label", "Probability", "Mask"]
    )
    assert not re.search(r'(src|href)="(?!data:)', text)  # nothing is loaded


def test_inspect_names_the_fragments_if_there_is_no_such(home: Home, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"9: no such fragment in ink-demo, expected one of 1, 2, a"
    ):
        INK.inspect(home, "ink-demo", "9", tmp_path / "a.html")


def test_files_of_predictions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected the name of a run"):
        INK.read_prediction_files([tmp_path / "a.csv"], tmp_path)


def test_a_run_without_scores_is_refused(home: Home) -> None:
    with pytest.raises(DataError, match="expected a run with scores"):
        INK.read_run(home, "nothing")


def test_masks_in_pictures_are_made_by_the_rules_of_the_folds(home: Home) -> None:
    source = INK.read_run(home, "ink-demo")
    volume = source.volume("2")
    assert volume is not None
    regions = source.regions.filter(fragment="2")
    seen = see(source, volume, regions, most=1000, layers=slice(0, 1))
    made = []
    for row in regions.iter_rows(named=True):
        path = source.map_of(row["region"], row["fold"])
        assert path is not None
        inside = np.asarray(volume.mask[row["first_row"] : row["end_row"]])
        made.append(make_mask(np.load(path), inside, source.rules.of(row["fold"])))
    assert seen.step == 1
    assert np.array_equal(seen.ink, np.concatenate(made))
