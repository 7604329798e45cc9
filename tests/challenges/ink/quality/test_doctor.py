"""The checks of `lsdc doctor`: silent on sound fragments, and each planted fault found alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lsdc.challenges.ink.competition.run_length import encode
from lsdc.challenges.ink.quality import picture_checks
from lsdc.challenges.ink.quality.checks import CHECKS
from lsdc.challenges.ink.quality.doctor import examine
from lsdc.challenges.ink.vocabulary import LAYERS
from lsdc.tables.findings import Report
from tests.challenges.ink.made_fragments import write_fragment, write_picture

SHAPE = (70, 40)


def masks() -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[5:-5, 4:-4] = True
    return mask, mask & (np.random.default_rng(3).random(SHAPE) < 0.2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write a sound competition of two training fragments and one test fragment."""
    mask, labels = masks()
    rng = np.random.default_rng(0)
    for name, split in (("1", "train"), ("2", "train"), ("a", "test")):
        volume = rng.integers(1, 65536, (LAYERS, *SHAPE)).astype(np.uint16)
        fragment = write_fragment(tmp_path, name, split, mask, labels, volume)
        if split == "train":
            runs = f"Id,Predicted\n{name},{encode(labels)}\n"
            (fragment.folder / "inklabels_rle.csv").write_text(runs)
    (tmp_path / "sample_submission.csv").write_text("Id,Predicted\na,1 1 5 1\n")
    return tmp_path


def found(report: Report) -> dict[str, int]:
    return {finding.name: finding.count for finding in report.findings if finding.count}


def test_sound_fragments_have_no_finding_and_every_check_runs(root: Path) -> None:
    told = list[tuple[int, int]]()
    report = examine(root, on_progress=lambda *now: told.append(now))
    assert found(report) == {}
    assert {finding.name for finding in report.findings} == set(CHECKS)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert report.counts["fragments"] == {"test": 1, "train": 2}
    assert report.counts["layers"] == {"test": LAYERS, "train": 2 * LAYERS}
    assert report.counts["frames"] == {"70 x 40, 16 bits": 3}
    mask, labels = masks()
    assert report.counts["ink_of_mask"]["1"] == labels.sum() / mask.sum()


def layer(root: Path, name: str = "17.tif") -> Path:
    return root / "train" / "2" / "surface_volume" / name


def write_constant(root: Path) -> None:
    tifffile.imwrite(layer(root), np.full(SHAPE, 9, dtype=np.uint16))


def copy_a_layer(root: Path) -> None:
    layer(root).write_bytes(layer(root, "03.tif").read_bytes())


def shrink_a_layer(root: Path) -> None:
    tifffile.imwrite(layer(root), tifffile.imread(layer(root))[:-1])


def halve_the_bits_of_a_layer(root: Path) -> None:
    tifffile.imwrite(layer(root), (tifffile.imread(layer(root)) >> 8).astype(np.uint8))


def halve_the_bits_of_all_layers(root: Path) -> None:
    for path in layer(root).parent.iterdir():
        tifffile.imwrite(path, (tifffile.imread(path) >> 8).astype(np.uint8))


def cut_a_layer(root: Path) -> None:
    layer(root).write_bytes(layer(root).read_bytes()[:-900])


def add_a_file(root: Path) -> None:
    layer(root, "notes.txt").touch()


def add_a_layer(root: Path) -> None:
    layer(root, "65.tif").write_bytes(layer(root, "03.tif").read_bytes()[:-8] + b"12345678")


def move_ink(root: Path) -> None:
    folder = root / "train" / "2"
    labels = np.roll(masks()[1], 6, axis=1)
    write_picture(folder / "inklabels.png", labels)
    (folder / "inklabels_rle.csv").write_text(f"Id,Predicted\n2,{encode(labels)}\n")


def crop_labels(root: Path) -> None:
    folder = root / "train" / "2"
    labels = masks()[1][:-1]
    write_picture(folder / "inklabels.png", labels)
    (folder / "inklabels_rle.csv").write_text(f"Id,Predicted\n2,{encode(labels)}\n")


def erase_labels(root: Path) -> None:
    write_picture(root / "train" / "2" / "inklabels.png", np.zeros(SHAPE, dtype=bool))
    (root / "train" / "2" / "inklabels_rle.csv").unlink()


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (lambda root: layer(root).unlink(), {"missing_layers": 1}),
        (cut_a_layer, {"unusable_layers": 1}),
        (add_a_file, {"unusable_layers": 1}),
        (add_a_layer, {"unusable_layers": 1, "equal_layers": 1}),
        (write_constant, {"constant_layers": 1}),
        (copy_a_layer, {"equal_layers": 1}),
        (shrink_a_layer, {"layers_of_another_size": 1}),
        (halve_the_bits_of_a_layer, {"mixed_bits": 1}),
        (halve_the_bits_of_all_layers, {"eight_bits": 1}),
        (move_ink, {"ink_outside_of_the_mask": 1}),
        (crop_labels, {"labels_of_another_size": 1}),
        (erase_labels, {"labels_of_one_class": 1}),
        (lambda root: (root / "train/2/mask.png").unlink(), {"unusable_pictures": 1}),
        (
            lambda root: write_picture(root / "train/2/mask.png", np.zeros(SHAPE, dtype=bool)),
            {"empty_masks": 1, "ink_outside_of_the_mask": 1, "labels_of_one_class": 1},
        ),
        (
            lambda root: write_picture(root / "train/2/mask.png", masks()[0], "palette"),
            {"unusual_kinds": 1},
        ),
        (
            lambda root: write_picture(root / "train/2/inklabels.png", masks()[1], "1 bit"),
            {"unusual_kinds": 1},
        ),
        (
            lambda root: (root / "train/2/inklabels_rle.csv").write_text("Id,Predicted\n2,1 1\n"),
            {"runs_unlike_the_picture": 1},
        ),
        (
            lambda root: (root / "sample_submission.csv").write_text("Id,Predicted\nz,\n"),
            {"rows_and_folders_that_differ": 2},
        ),
    ],
)
def test_a_planted_fault_is_found_and_named(
    root: Path, plant: Callable[[Path], object], expected: dict[str, int]
) -> None:
    plant(root)
    report = examine(root)
    assert found(report) == expected
    finding = next(finding for finding in report.findings if finding.count)
    named = str(finding.rows.to_dicts())
    assert "/2/" in named or "train/2" in named or "z" in named


def test_a_damaged_layer_is_found_with_its_reason(root: Path) -> None:
    cut_a_layer(root)
    (row,) = examine(root).finding("unusable_layers").rows.to_dicts()
    assert (row["fragment"], row["layer"]) == ("2", 17)
    assert row["fault"].startswith("the TIFF file is damaged (it ends at row ")


def test_pictures_above_the_limit_are_noted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_checks, "_PILLOW_LIMIT", 70 * 40 - 1)
    assert found(examine(root)) == {"beyond_the_limit_of_pillow": 5}
