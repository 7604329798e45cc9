"""Benchmarks run: they are run rarely and by hand, and may import renamed functions.

Each runs in a tiny form, whose figures mean nothing; faults.py in tests/flows/test_pool_faults.py.
"""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import FOLDER, require_figures, run_benchmark

BENCHMARKS = [file for file in sorted(FOLDER.glob("*.py")) if "__main__" in file.read_text()]
# Options, and figures that the benchmark's docstring explains.
TINY: dict[str, tuple[str, list[str]]] = {
    "crop_stage": (
        "--studies 30",
        [
            f"crops_{encoding}_{ratio}{kind}"
            for encoding in ("native", "rle")
            for ratio in ("loop_to_stage", "stage_to_bare", "stage_to_reader")
            for kind in ("", "_cpu")
        ],
    ),
    "flat_index": (
        "--files 100",
        ["us_a_file", "flat", "ratio_to_pydicom", "reindex_to_index", "of_all", "mib_large"],
    ),
    "gap": (
        "--seeds 0 --studies 8 --min-steps 40",
        [
            *("predicted_0", "annotated_0", "mixed_0", "gap", "gap_low", "gap_high"),
            *("mixed_gap", "mixed_gap_low", "mixed_gap_high"),
        ],
    ),
    "geometry": (
        "--studies 8 --min-steps 30 --methods",
        [
            *("sides_right", "levels_right", "levels_right_in_view", "median_mm", "p95_mm"),
            *("axial_exact", "axial_within_one", "unseen_levels_right", "unseen_median_mm"),
            *("unseen_p95_mm", "extra_flagged", "extra_false", "absent_said"),
            *("heatmap median_mm", "regression median_mm"),
        ],
    ),
    "gpu_check": (
        "--device cpu --tiny",
        [
            *("tests", "engine_gpu_ratio", "compiled_gpu_ratio", "joint_steps"),
            *("joint_samples_a_second", "joint_waiting_share", "joint_fold_minutes"),
            *("resume_same_bits", "processes_difference", "processes_speed"),
        ],
    ),
    "hemorrhage": (
        "--slices 200 --rounds 1 --studies 10 --folds 2 --set slices.size_px=48 training.epochs=1 "
        "sequence.epochs=1",
        [
            *(f"{one}_{size}" for one in ("notes_to_prepare", "png_to_map") for size in (256, 512)),
            *(f"prepare_{size}_to_{other}" for other in ("decode", "one") for size in (256, 512)),
            *(
                f"{ratio.replace('{}', str(size))}{end}"
                for ratio in (
                    "prepare_{}_to_decode",
                    "prepare_{}_to_floor_{}",
                    "floor_{}_to_decode",
                )
                for size in (256, 512)
                for end in ("", "_each")
            ),
            *(f"{what}_674000_{size}" for what in ("minutes", "gb") for size in (256, 512)),
            *("minutes", "cpu_minutes", "all_cpu_minutes", "prior", "slice", "sequence"),
            "shuffled_training_to_prior",
            *(
                f"{name}{end}"
                for name in (
                    *("slice_to_prior", "sequence_to_prior", "sequence_to_slice"),
                    *("slice_image_to_patient", "sequence_image_to_patient"),
                    *("shuffled_slice_to_prior", "shuffled_sequence_to_prior"),
                )
                for end in ("", "_low", "_high")
            ),
        ],
    ),
    "index": (
        "--files 150",
        [
            *("ratio_to_pydicom", "ratio_to_pydicom_unasked", "ratio_to_floor", "reindex_to_stat"),
            *("peak_mib", "decode_native_ratio_to_bare", "decode_rle_ratio_to_bare"),
        ],
    ),
    "ink": (
        "--tiny",
        [
            *("tiles_a_second", "tiles_to_tiff", "tiles_to_bare"),
            *(f"inference_{kind}_seconds" for kind in ("none", "in_turn", "full")),
            *("inference_in_turn_to_none", "inference_full_to_none"),
            *(f"learning_{what}" for what in ("score", "prior", "one_layer", "cpu_minutes")),
            *(
                f"changes_{change}_{what}"
                for change in ("turns", "shift", "channels_shift", "groups_shift")
                for what in ("with", "without", "gain", "low", "high")
            ),
            *("memory_rows", "memory_mib", "memory_cpu_seconds"),
            *(f"memory_{what}_mib" for what in ("layers", "one_strip", "pictures")),
        ],
    ),
    "loss": (
        "--seeds 0 --studies 12 --epochs 2 --last 1",
        [
            *("labels", "weighted", "then_labels", "then_metric", "prior"),
            *("weighted_gain", "weighted_low", "weighted_high"),
            *("metric_gain", "metric_low", "metric_high"),
        ],
    ),
    "peers": (
        "--seeds 0 --studies 12 --minutes 0.02 --min-steps 60",
        [
            *("starter", "annotated", "demo", "joint", "set", "prior", "points_seconds"),
            *(f"{way}_epochs" for way in ("starter", "annotated", "demo", "joint", "set")),
            *(f"{way}_over_starter" for way in ("annotated", "demo", "joint", "set")),
            *("set_over_joint", "set_over_joint_low", "set_over_joint_high"),
        ],
    ),
    "predict": (
        "--studies 8 --folds 2 --max-size 64 --min-steps 5 --rounds 1",
        [
            *("predict_seconds", "predict_seconds_a_study", "predict_fixed_seconds", "ratio"),
            *("loose_extra_seconds_a_study", "pictures_seconds_a_study", "ratio_cpu", "peak_mib"),
            *("decode_seconds_a_study", "forward_seconds_a_study"),
        ],
    ),
    "training": (
        "--rounds 1",
        [
            *("engine_ratio", "loading_ratio", "metric_ratio", "metric_difference"),
            "folds_side_by_side_ratio",
        ],
    ),
    "vertebrae": (
        "--studies 2 --taught 8 --folds 2 --max-size 64 --min-steps 5",
        [
            f"{kind}_{what}"
            for kind in ("normal", "extra", "missing")
            for what in ("flagged", "named")
        ],
    ),
}


# In one process, as each would import torch anew.
PRINT_HELP = """
import runpy, sys
for file in sys.argv[1:]:
    sys.argv = [file, "--help"]
    try:
        runpy.run_path(file, run_name="__main__")
    except SystemExit as end:
        assert not end.code, file
"""


def test_each_benchmark_prints_its_help() -> None:
    command = [sys.executable, "-P", "-c", PRINT_HELP, *map(str, BENCHMARKS)]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = [line for line in done.stdout.splitlines() if line.startswith("usage: ")]
    assert [line.split()[1] for line in printed] == [file.name for file in BENCHMARKS]


def test_each_benchmark_has_a_tiny_form() -> None:
    assert {file.stem for file in BENCHMARKS} == {
        *TINY,
        *("distrust", "faults", "leak", "learning", "overhead", "tta"),
    }


@pytest.mark.slow_training
@pytest.mark.parametrize("name", TINY)
def test_benchmark_prints_the_figures_that_it_explains(name: str) -> None:
    options, names = TINY[name]
    require_figures(run_benchmark(name, *options.split()), names)


@pytest.mark.slow_training
def test_failed_part_of_the_gpu_check_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    gpu_check = importlib.import_module("gpu_check")
    in_no_time = dataclasses.replace(gpu_check.PARTS["engine"], seconds=0.01)
    monkeypatch.setitem(gpu_check.PARTS, "engine", in_no_time)
    late = gpu_check.run_part("engine", "cpu", tiny=True)
    assert late.failed
    assert late.words.startswith("stopped after 0 s, its limit")
    command = [sys.executable, FOLDER / "gpu_check.py", "--device", "cpu", "--tiny", "--parts"]
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    done = subprocess.run(
        [*command, "tests", "engine"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    first, second = done.stdout.splitlines()
    assert first.startswith("tests      FAILED")
    assert "no-such-option" in first
    assert second.startswith("engine     passed")


@pytest.mark.slow_training
def test_overhead_is_measured_with_and_without_prefect(phantom: Path) -> None:
    few = ("training.epochs=1", "coordinates.epochs=1", "coordinates.min_steps=10")
    settings = (*few, "coordinates.source=annotated")  # not every fold has points in so few steps
    changes = [word for setting in settings for word in ("--set", setting)]
    figures = run_benchmark("overhead", "--data", phantom, *changes)
    require_figures(
        figures, ["with_seconds", "without_seconds", "added_seconds", "beyond_start_up"]
    )


@pytest.fixture(scope="module")
def learnt(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A home that the demo was trained in, and what the benchmark that did so printed."""
    home = tmp_path_factory.mktemp("learnt") / "home"
    return home, run_benchmark("learning", "--seeds", "0", "--data", phantom, "--home", home)


@pytest.mark.slow_training
def test_learning_is_scored_beside_the_prior(learnt: tuple[Path, dict[str, Any]]) -> None:
    _, figures = learnt
    require_figures(figures, ["median_ratio"])
    (seed,) = figures["seeds"]
    require_figures(seed, ["seed", "score", "weighted_prior", "ratio", "seconds", "peak_gib"])


@pytest.mark.slow_training
def test_leak_is_found_where_one_is_planted(learnt: tuple[Path, dict[str, Any]]) -> None:
    home, _ = learnt
    # With fewer epochs the honest models predict nearly even odds, which beat the prior of so few
    # studies: that would look like a leak.
    found = run_benchmark("leak", "--home", home, "--epochs", "15")
    for verdict in found.values():
        require_figures(verdict, ["score", "prior", "error"])
    assert [found["honest"]["leak"], found["planted"]["leak"]] == [False, True]


@pytest.mark.slow_training
def test_views_have_scores_and_times_beside_none(learnt: tuple[Path, dict[str, Any]]) -> None:
    home, _ = learnt
    figures = run_benchmark("tta", "--home", home, "--rounds", "1")
    kinds = ("mirror", "rotate", "zoom", "shift", "all")
    words = ("score", "difference", "low", "high", "gain", "seconds", "ratio", "ratio_cpu")
    require_figures(figures, [f"{kind}_{word}" for kind in kinds for word in words])
    (score,) = (json.loads(file.read_text())["score"] for file in home.glob("runs/*/scores.json"))
    assert figures["none_score"] == pytest.approx(score, rel=1e-5)
    for kind in kinds:
        assert figures[f"{kind}_low"] < figures[f"{kind}_high"]


@pytest.mark.slow_training
def test_wrong_labels_are_looked_for_where_they_are_planted(
    learnt: tuple[Path, dict[str, Any]],
) -> None:
    home, _ = learnt
    figures = run_benchmark("distrust", "--home", home, "--seeds", "0", "--epochs", "1")
    require_figures(
        figures,
        [
            *("precision", "recall", "all_labels", "without_doubted"),
            *("gain", "gain_low", "gain_high"),
        ],
    )
