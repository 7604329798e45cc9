"""A block: one fragment, from its layers to a map of probabilities, by the code of a run's stages.

What is done lies in a folder, from which a killed prediction goes on: the prepared volume, and the
map with the rows of tiles that are done.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from lsdc.challenges.ink.competition.pictures import read_mask
from lsdc.challenges.ink.competition.tables import MASK as MASK_PICTURE
from lsdc.challenges.ink.competition.tables import Fragment, describe_shape
from lsdc.challenges.ink.inference.predict import PredictJob, Wanted, predict
from lsdc.challenges.ink.predict.models import TrainedModels
from lsdc.challenges.ink.volumes.layers import DamagedLayerError
from lsdc.challenges.ink.volumes.prepare import Bits, join_pixels, list_units, prepare_shard
from lsdc.challenges.ink.volumes.usable import (
    Fault,
    UsableLayers,
    look_at_layers,
    mask_fault,
    reason_of,
)
from lsdc.challenges.ink.volumes.volume import MASK, PIXELS
from lsdc.errors import DataError
from lsdc.predict.workplace import Workplace
from lsdc.store.files import write_folder, write_text

Mask = NDArray[np.bool_]
OnProgress = Callable[[int, int], None]

VOLUME, PREPARED, MAP = "volume", "prepared.json", "map"
_BAND_ROWS = 256  # looked through at a time


@dataclass(frozen=True)
class Prepared:
    """What a fragment was prepared from.

    Attributes:
        shape: its rows and columns; 0 if no file tells.
        faults: its files that cannot be used.
        replaced: the layer that stands in for each that cannot be used.
        has_mask: whether its mask could be used; else it is where any layer is not 0.
        why_prior: why it has no volume, and so an empty mask; empty if it has.
    """

    shape: tuple[int, int]
    faults: tuple[Fault, ...]
    replaced: dict[int, int]
    has_mask: bool
    why_prior: str


_ADAPTER = TypeAdapter(Prepared)


def prepare_fragment(
    source: Path, bits: Bits, out: Path, *, threads: int, on_progress: OnProgress
) -> Prepared:
    """Prepare the volume of a fragment into `out / VOLUME`, unless it is there.

    A layer that turns out to be damaged is left out, and all begins again without it.

    Args:
        source: the fragment's folder.
        bits: bits of a pixel.
        out: a folder for this fragment, which may be new.
        threads: number of threads that decode layers.
        on_progress: called with the number of units of rows that are done, and of all.

    Raises:
        NoSpaceError: the disk is too small.
    """
    record = out / PREPARED
    if record.is_file():
        return _ADAPTER.validate_json(record.read_bytes())
    shutil.rmtree(out, ignore_errors=True)
    layers = look_at_layers(source)
    mask, fault = _read_mask(source, layers.shape)
    while True:
        try:
            prepared = _prepare(source, layers, mask, fault, bits, out, threads, on_progress)
        except DamagedLayerError as error:
            layers = layers.without(error.path, error.what)
        else:
            write_text(record, _ADAPTER.dump_json(prepared).decode())
            return prepared


def remove_fragment(out: Path) -> None:
    """Remove what `prepare_fragment` wrote; killed in between, the rest is not gone on from."""
    (out / PREPARED).unlink()
    shutil.rmtree(out)


def predict_map(
    prepared: Prepared, models: TrainedModels, folder: Path, at: Workplace, *, identity: str
) -> Path | None:
    """Predict the map of a fragment by the mean of all models, as a run predicts test fragments.

    Args:
        prepared: what the fragment was prepared from.
        models: the models of the run.
        folder: the folder with `VOLUME`.
        at: the workplace, but for its folder.
        identity: what else the map depends on; a map that is there is of the same.

    Returns:
        The map, (rows, columns) of float16, in a folder of the run's; None without a volume.

    Raises:
        StageError: the child process died.
    """
    if prepared.why_prior:
        return None
    whole = Wanted(region=MAP, fragment=VOLUME, first_row=0, end_row=prepared.shape[0])
    job = PredictJob(
        experiment=models.experiment,
        models=tuple(models.folds.values()),
        volumes=folder,
        wanted=(whole,),
        out=folder / models.name,
        identity=identity,
        device=at.device,
        threads=at.threads,
    )
    predict(job, log=at.log, on_event=at.on_event)
    return job.out / whole.file


def _prepare(
    source: Path,
    layers: UsableLayers,
    mask: Mask | None,
    fault: Fault | None,
    bits: Bits,
    out: Path,
    threads: int,
    on_progress: OnProgress,
) -> Prepared:
    shape = layers.shape or (mask.shape if mask is not None else (0, 0))
    faults = (*layers.faults, *([fault] if fault else []))
    why = "" if layers.files else "no layer can be used"
    if layers.files:
        fragment = Fragment(source.name, "test", source, (shape[0], shape[1]))
        with write_folder(out) as made:
            shard, volume = made / "shard", made / VOLUME
            for folder in (shard, volume):
                folder.mkdir()
            prepare_shard(
                [fragment],
                list_units([fragment]),
                bits,
                shard,
                layers_of=layers.open,
                threads=threads,
                on_progress=on_progress,
            )
            join_pixels(fragment, [shard], volume, bits=bits)
            inside = _where_not_zero(volume / PIXELS) if mask is None else mask
            if inside.any():
                np.save(volume / MASK, inside)
                volume.replace(out / VOLUME)
            else:
                why = "all layers are 0 everywhere"
    return Prepared((shape[0], shape[1]), faults, layers.replaced, mask is not None, why)


def _read_mask(source: Path, shape: tuple[int, int] | None) -> tuple[Mask | None, Fault | None]:
    """Return a fragment's mask, or why it cannot be used."""
    path = source / MASK_PICTURE
    try:
        mask = read_mask(path)
    except DataError as error:
        return None, mask_fault(source, reason_of(error, path))
    own = (mask.shape[0], mask.shape[1])
    if shape is not None and own != shape:
        sizes = f"{describe_shape(own)}, expected {describe_shape(shape)} as most layers have"
        return None, mask_fault(source, sizes)
    if not mask.any():
        return None, mask_fault(source, "no pixel is set, expected those with data")
    return mask, None


def _where_not_zero(path: Path) -> Mask:
    """Return where any layer of a volume is not 0, (rows, columns)."""
    pixels = np.load(path, mmap_mode="r")
    inside = np.empty(pixels.shape[:2], bool)
    for top in range(0, len(pixels), _BAND_ROWS):
        inside[top : top + _BAND_ROWS] = np.asarray(pixels[top : top + _BAND_ROWS]).any(axis=2)
    return inside
