"""Are head CT slices prepared fast, and is the phantom learnt, without a leak?

    python benchmarks/hemorrhage.py [--full] [--json] [--parts preparing learning]
        [--folder DIR] [--data DIR] [--slices 1500] [--studies 60] [--folds 4] [--seed 1]
        [--set KEY=VALUE ...]

Preparing: on the same files, in one run and in turns, this measures the preparing of slices
(decode, convert to Hounsfield units, show three windows, resize, write; two reading processes) at
256 and 512 px, decoding alone by the same supervised reader, and the way of the challenge's
published experiments: pydicom, three windows, each stretched by itself, and one PNG of three
channels at full size (Pillow). Then one epoch of reading: all slices in random order through a
memory map, and all PNG files back.

Ratios are medians over rounds of CPU time, which other work on the machine disturbs less; those of
wall time end in `_wall`. `notes_to_prepare_256` and `png_to_map_256` above one mean that ours is
faster; `prepare_256_to_decode` is how many times the cost of decoding the whole preparing takes.
Both include the start of the readers, which counts for little in a large data set:
`prepare_256_to_decode_each` is the ratio for each further slice, from the difference between many
slices and few. `floor_256` decodes, and writes as many bytes as the slices have: preparing cannot
cost less. `prepare_256_to_one` compares with dicomsdl in one process, which a bad file may crash.
`minutes_674000_256` and `gb_674000_256` are projected to the competition's training images from the
wall time and the bytes of each further slice.

All files are in the page cache when they are read. A few files (generated, or those of `--data`)
are listed again and again to simulate many; PNG files are written for each once, and their time is
scaled.

Learning: `lsdc demo-data` writes a phantom, and `lsdc run-local --experiment ich-demo` trains on
it. All losses are the competition's metric, out of fold. `slice_to_prior` and `sequence_to_prior`
are those of the slice model and of the sequence model over the prior's, `sequence_to_slice` the one
over the other: at most 0.5 and 0.9 are wanted. `minutes` and `cpu_minutes` are of both commands,
`all_cpu_minutes` of these and of the two trainings that follow. The seed is that of the phantom,
the folds and the training; ich-demo was chosen on seed 0.
Then the same is trained on folds by image (`split.by=image`): `slice_image_to_patient` and
`sequence_image_to_patient` are the losses over those by patient. They are below one, as slices of
the scored patients are trained on: a leak. Last, on images that have another image's labels,
without augmentation and label smoothing, so that labels are memorised: `shuffled_slice_to_prior` or
`shuffled_sequence_to_prior` below one would be a leak. `shuffled_training_to_prior` is the last
training loss of the slice models: far below one, labels were memorised, so a leak would show. Names
in `_low` and `_high` are the ends of 95 % intervals: both losses for the same random sets of
patients.

`--full` measures more slices and rounds and writes RESULTS.md, a section for each part.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from learnt_slices import take_learning_figures
from prepared_slices import take_slice_figures
from results import machine, record

COMMAND = "python benchmarks/hemorrhage.py"
# The title of each part's section in RESULTS.md.
PARTS = {"preparing": "Slices of head CT", "learning": "Learning from head CT"}


def main() -> None:
    """Measure all figures and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data", type=Path, help="folder of DICOM slices [generated ones]")
    parser.add_argument("--folder", type=Path, help="folder for all files [a temporary one]")
    parser.add_argument("--slices", type=int, default=1_500, help="slices of a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of preparing")
    parser.add_argument("--studies", type=int, default=60, help="studies of the phantom")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1, help="of the phantom and the training")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of ich-demo")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    if options.full:
        options.slices, options.rounds = max(options.slices, 3_000), max(options.rounds, 9)
    figures: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for part in options.parts:
            found = _take(part, Path(folder), options)
            figures |= found
            if options.full:
                record(PARTS[part], f"{COMMAND} --parts {part} --full", found)
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:32} {value}")


def _take(part: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Return the figures of a part by name."""
    if part == "preparing":
        return take_slice_figures(folder, options.data, options.slices, options.rounds)
    return take_learning_figures(folder, options.studies, options.folds, options.seed, options.set)


if __name__ == "__main__":
    main()
