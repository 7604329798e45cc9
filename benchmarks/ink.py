"""Ink on papyrus: tiles a second, inference, what the demo learns, and memory at full size.

    python benchmarks/ink.py [--parts NAME ...] [--changes NAME ...] [--seeds 0] [--json]
                             [--full | --tiny]

- `tiles`: tiles of 256 px and 65 layers at random places, drawn from a prepared volume
  (`Volume.tile`), beside reading the same tiles out of the layers' TIFF files (LZW, strips; files
  are open, and only the strips that hold the tile are decoded) and beside a bare memory map of
  numpy. The frame is 600 x 5,249 px, as wide as the narrowest real fragment. `tiles_to_tiff` and
  `tiles_to_bare` are how many times as many tiles are drawn in the same CPU time. Files are in the
  page cache.
- `inference`: CPU seconds of ink-demo's network, on one thread, for each megapixel of mask: without
  test-time augmentation (`none`), with one view a tile (`in_turn`) and with all four of every tile
  (`full`).
- `learning`: `lsdc run-local --experiment ink-demo` on the phantom: `learning_score` is F0.5 of the
  out-of-fold maps over full frames, with the threshold of each fold fitted on the other folds.
  Beside it, `learning_prior`, where all of the mask is ink, and `learning_one_layer`, the best
  threshold of the best single layer, lighter or darker, chosen on the labels that it is scored on.
  CPU time is of the whole command with Prefect's server, the phantom excepted.
- `changes`: ink-demo trained without rotations and scored on fragment 2, which is turned, and
  without the shift of the layer window and scored on fragment 3, whose surface is five layers off;
  each trained on the two other fragments alone. `turns_gain` and `shift_gain` are F0.5 with minus
  without. `channels_shift` is the same of a small 2-D encoder whose channels are the layers, so
  that each layer has its own weights; `groups_shift` of one that sees groups of five layers, all
  with the same weights. The share of pixels that are ink is that of the labels of the other two
  fragments.
  `_low` and `_high` are a 95 % interval over random sets of squares of 96 px (a letter) of the
  scored fragment, all seeds together. With one seed, it says nothing of other trainings.
- `memory`: peak memory (resident set) of preparing, as 8 bits, each in a process of its own:
  `--rows` rows of a fragment of 9,506 columns and 65 layers of LZW (`layers`), which are prepared
  in bands of the same number of bytes, so that more rows take no more memory; the first rows of
  such a fragment if each layer is one strip, which is decoded at once (`one_strip`); and the mask
  (in colours) and the labels of the largest fragment at its full 14,830 x 9,506 px (`pictures`).
  `mib` is the highest. `--full` prepares the layers of all 14,830 rows, which needs 12 GB of disk.

Figures are medians over rounds, in turns. `--full` measures more rounds and writes each part's
figures to RESULTS.md. `--tiny` runs all of it in a small form, whose figures mean nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from costs import cost_of
from ink_changes import CHANGES, Figures, Trained, compare_changes
from numpy.typing import NDArray
from results import machine, record

from lsdc.challenges.ink.competition.tables import Fragment, open_competition
from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.config.presets import EXPERIMENTS
from lsdc.challenges.ink.folds import write_folds
from lsdc.challenges.ink.phantom.order import Order
from lsdc.challenges.ink.phantom.writer import write_phantom
from lsdc.challenges.ink.volumes.layers import Layer, open_layers
from lsdc.challenges.ink.volumes.prepare import (
    join_shards,
    list_units,
    prepare_shard,
    write_pictures,
)
from lsdc.challenges.ink.volumes.volume import PIXELS, Volume

LAYERS, LARGEST, NARROWEST_COLUMNS = 65, (14_830, 9_506), 5_249
TILE_PX, TIFF_TILES, TILES = 256, 4, 400  # tiles of a round
FEW = ("training.epochs=1", "sampling.tiles_an_epoch=32")  # of the tiny form


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        rounds: the rounds of what is measured in turns.
        rows: rows of the fragment whose preparing is measured.
        order: the phantom.
        settings: changed settings of ink-demo.
        tiff_rows: rows of the frame that tiles are drawn from.
        inferred_rows: rows of the first fragment that are predicted.
        seeds: of the trainings of `changes`.
        changes: those that are measured.
    """

    rounds: int
    rows: int
    order: Order
    settings: tuple[str, ...]
    tiff_rows: int
    inferred_rows: int
    seeds: tuple[int, ...]
    changes: tuple[str, ...]


def main() -> None:
    """Measure the parts and print their figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[*PARTS])
    parser.add_argument("--changes", nargs="+", choices=CHANGES, default=[*CHANGES])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of `changes`")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_500, help="rows of `memory`")
    parser.add_argument("--folder", type=Path, help="folder for all files [a temporary one]")
    parser.add_argument("--json", action="store_true")
    extents = parser.add_mutually_exclusive_group()
    for name in ("full", "tiny"):
        extents.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for part in options.parts:
            own = PARTS[part](Path(folder), scale_of(options))
            found = {f"{part}_{name}": round(value, 4) for name, value in own.items()}
            figures |= found
            if options.full:
                command = f"python benchmarks/ink.py --full --parts {part}"
                if part == "changes":
                    command += f" --changes {' '.join(options.changes)}"
                    command += f" --seeds {' '.join(map(str, options.seeds))}"
                record(f"Ink on papyrus: {part}", command, found)
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value}")


def scale_of(options: argparse.Namespace) -> Scale:
    """Return how much is measured with these options."""
    changes = tuple(options.changes)
    if options.tiny:
        order = Order(fragments=3, test=0, rows=256, columns=256)
        return Scale(1, 40, order, FEW, 300, 64, (0,), changes)
    seeds = tuple(options.seeds)
    scale = Scale(options.rounds, options.rows, Order(test=0), (), 600, 128, seeds, changes)
    return replace(scale, rounds=9, rows=LARGEST[0]) if options.full else scale


# What the parts share.
def phantom_of(folder: Path, scale: Scale) -> Path:
    """Return the phantom, written by the first part that needs it."""
    out = folder / "phantom"
    if not out.exists():
        write_phantom(out, scale.order)
    return out


def volumes_of(folder: Path, scale: Scale) -> Path:
    """Return the prepared volumes of the phantom's training fragments."""
    out = folder / "volumes"
    if not out.exists():
        prepare(list(open_competition(phantom_of(folder, scale)).training), out)
    return out


def prepare(fragments: list[Fragment], out: Path) -> None:
    """Prepare fragments as a run does, in one shard."""
    shard = out.with_name(f"{out.name}-shard")
    shard.mkdir(parents=True)
    out.mkdir()
    prepare_shard(fragments, list_units(fragments), 8, shard, threads=1)
    join_shards(fragments, [shard], out, bits=8)


def write_frame(folder: Path, rows: int, columns: int, strip_rows: int | None = None) -> Fragment:
    """Write a fragment whose layers are one texture in LZW, linked 65 times."""
    import tifffile
    from scipy import ndimage

    noise = np.random.default_rng(0).normal(size=(min(rows, 512), columns)).astype(np.float32)
    texture = ndimage.gaussian_filter(noise, 1.5)
    pixels = np.clip(texture / texture.std() * 34 + 97, 0, 255).astype(np.uint16) << 8
    pixels = np.concatenate([pixels] * -(-rows // len(pixels)))[:rows]
    layers = folder / "surface_volume"
    layers.mkdir(parents=True)
    tifffile.imwrite(
        layers / "00.tif",
        pixels,
        compression="lzw",
        photometric="minisblack",
        rowsperstrip=strip_rows,
    )
    for layer in range(1, LAYERS):
        os.link(layers / "00.tif", layers / f"{layer:02}.tif")
    return write_pictures_of(folder, (rows, columns))


def write_pictures_of(folder: Path, shape: tuple[int, int]) -> Fragment:
    """Write a mask in colours, which takes the most memory, and labels with a palette."""
    from PIL import Image

    for name, mode, value in (("mask.png", "RGB", (255, 255, 255)), ("inklabels.png", "P", 1)):
        Image.new(mode, shape[::-1], value).save(folder / name)
    return Fragment("1", "train", folder, shape)


def take_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each way in each round, in turns."""
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            costs[name].append(cost_of(way)[1])
    return costs


# The parts.
def measure_tiles(folder: Path, scale: Scale) -> Figures:
    """Draw tiles from a prepared volume, out of TIFF files, and from a bare memory map."""
    fragment = write_frame(folder / "frame" / "train" / "1", scale.tiff_rows, NARROWEST_COLUMNS)
    out = folder / "frame-volumes"
    prepare([fragment], out)
    random = np.random.default_rng(1)
    most = np.array(fragment.shape) - TILE_PX
    corners = [(int(row), int(column)) for row, column in random.integers(most, size=(TILES, 2))]
    volume = Volume.open(out / fragment.name)
    bare = np.load(out / fragment.name / PIXELS, mmap_mode="r")

    def draw() -> None:
        for row, column in corners:
            volume.tile(row, column, TILE_PX)

    def draw_bare() -> None:
        for row, column in corners:
            np.array(bare[row : row + TILE_PX, column : column + TILE_PX])

    def read() -> None:
        for row, column in corners[:TIFF_TILES]:
            read_tile(layers, row, column)

    draw_bare()  # all pages are in the cache
    with open_layers(fragment) as layers:
        same = read_tile(layers, *corners[0]) >> 8
        assert np.array_equal(volume.tile(*corners[0], TILE_PX), same)
        costs = take_turns({"tiles": draw, "bare": draw_bare, "tiff": read}, scale.rounds)
    ours, without, tiff = (np.array(costs[name]) for name in ("tiles", "bare", "tiff"))
    return {
        "a_second": float(TILES / np.median(ours)),
        "to_tiff": float(np.median(tiff / TIFF_TILES / (ours / TILES))),
        "to_bare": float(np.median(without / ours)),
    }


def read_tile(layers: Sequence[Layer], row: int, column: int) -> NDArray[Any]:
    """Read a tile (size, size, layers) out of open TIFF files."""
    own = slice(column, column + TILE_PX)
    return np.stack([layer.rows(row, row + TILE_PX)[:, own] for layer in layers], axis=-1)


def measure_inference(folder: Path, scale: Scale) -> Figures:
    """Predict rows of a fragment by a network with random weights."""
    import torch

    from lsdc.challenges.ink.inference.predict_map import predict_map
    from lsdc.challenges.ink.training.network import build_network
    from lsdc.challenges.ink.training.predict import predict_tiles

    torch.set_num_threads(1)
    volume = Volume.open(volumes_of(folder, scale) / "1")
    first = (volume.shape[0] - scale.inferred_rows) // 2
    rows = first, first + scale.inferred_rows
    kinds = ("none", "in_turn", "full")
    experiments = {kind: EXPERIMENTS.load("ink-demo", [f"inference.tta={kind}"]) for kind in kinds}
    network = build_network(experiments["none"], pretrained=False).eval()

    def predict(experiment: Experiment) -> None:
        one = partial(predict_tiles, network, experiment=experiment, device=torch.device("cpu"))
        predict_map(volume, rows, one, experiment, folder / "map.npy", identity="")

    ways = {kind: partial(predict, experiment) for kind, experiment in experiments.items()}
    predict(experiments["none"])  # torch has chosen its kernels
    costs = take_turns({**ways}, scale.rounds)
    megapixels = float(volume.mask[slice(*rows)].sum()) / 1e6
    found = {f"{kind}_seconds": float(np.median(costs[kind])) / megapixels for kind in kinds}
    for kind in ("in_turn", "full"):
        ratios = np.array(costs[kind]) / np.array(costs["none"])
        found[f"{kind}_to_none"] = float(np.median(ratios))
    return found


def measure_learning(folder: Path, scale: Scale) -> Figures:
    """Run ink-demo on the phantom, from its layers to its score."""
    command = [sys.executable, "-P", "-m", "lsdc", "run-local", "--experiment", "ink-demo"]
    command += ["--data", str(phantom_of(folder, scale)), "--home", str(folder / "home")]
    command += ["--quiet", *(word for each in scale.settings for word in ("--set", each))]
    wall, cpu = cost_of(partial(subprocess.run, command, stdout=subprocess.DEVNULL, check=True))
    scores = json.loads((folder / "home/runs/ink-demo/scores.json").read_text(encoding="utf-8"))
    return {
        "score": scores["score"],
        "prior": scores["weighted_prior"]["score"],
        "one_layer": score_one_layer(volumes_of(folder, scale)),
        "minutes": wall / 60,
        "cpu_minutes": cpu / 60,
    }


def score_one_layer(volumes: Path) -> float:
    """Return the best mean F0.5 over fragments of a threshold of one layer, in both directions."""
    total = []
    for folder in sorted(each for each in volumes.iterdir() if each.is_dir()):
        volume = Volume.open(folder)
        inside, labels = np.asarray(volume.mask), np.asarray(volume.labels)
        grey, inked = np.asarray(volume.pixels)[inside], labels[inside]
        counts = np.array(
            [
                [np.bincount(layer[chosen], minlength=256) for chosen in (inked, ~inked)]
                for layer in grey.T
            ]
        )
        # (layers, 2, values): ink and other pixels up to each value, and from each value on
        below = np.cumsum(counts, axis=-1)
        for_both = np.stack([below, counts.sum(axis=-1, keepdims=True) - below])
        ink, other = for_both[:, :, 0], for_both[:, :, 1]
        total.append(1.25 * ink / (0.25 * labels.sum() + ink + other))
    return float(np.mean(total, axis=0).max())


def measure_changes(folder: Path, scale: Scale) -> Figures:
    """Train with and without a change, on fragments that do not show what it prepares for."""
    competition = open_competition(phantom_of(folder, scale))
    split = folder / "by-fragment"
    split.mkdir()
    write_folds(competition, split, folds=len(competition.training), bands=(1,))
    volumes = volumes_of(folder, scale)
    trained = Trained(volumes, split, scale.settings, scale.seeds, scale.changes)
    return compare_changes(trained)


def measure_memory(folder: Path, scale: Scale) -> Figures:
    """Prepare a wide fragment, one of single strips, and the pictures of the largest one."""
    for name in ("largest", "pictures"):
        (folder / name).mkdir()
    largest = write_pictures_of(folder / "largest", LARGEST)
    wide = write_frame(folder / "wide" / "train" / "1", scale.rows, LARGEST[1])
    strips = write_frame(folder / "strips" / "train" / "1", scale.rows, LARGEST[1], scale.rows)
    ways: dict[str, Callable[[], object]] = {
        "layers": partial(prepare_layers, wide, list_units([wide]), folder / "wide-shard"),
        "one_strip": partial(prepare_layers, strips, list_units([strips])[:1], folder / "first"),
        "pictures": partial(write_pictures, largest, folder / "pictures"),
    }
    spawn = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        found = {name: pool.submit(measure_peak, way).result() for name, way in ways.items()}
    peaks = {f"{name}_mib": peak for name, (peak, _) in found.items()}
    return {
        "rows": scale.rows,
        **peaks,
        "mib": max(peaks.values()),
        "cpu_seconds": found["layers"][1],
    }


def prepare_layers(fragment: Fragment, units: list[str], out: Path) -> None:
    """Prepare units of a fragment as one shard of a run."""
    out.mkdir()
    prepare_shard([fragment], units, 8, out, threads=1)


def measure_peak(way: Callable[[], object]) -> tuple[float, float]:
    """Return the peak memory of this process in MiB, and the CPU seconds of what it does."""
    _, cpu = cost_of(way)
    return peak_mib(), cpu


def peak_mib() -> float:
    """Return the peak of this process's resident set; getrusage would include its parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


PARTS: dict[str, Callable[[Path, Scale], Figures]] = {
    "tiles": measure_tiles,
    "inference": measure_inference,
    "learning": measure_learning,
    "changes": measure_changes,
    "memory": measure_memory,
}


if __name__ == "__main__":
    main()
