"""Predict any fragments with the models of a run, and write what was found."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
from pydantic import TypeAdapter

from lsdc.challenges.ink.competition.run_length import encode
from lsdc.challenges.ink.competition.tables import ID, PREDICTED, wanted_rows
from lsdc.challenges.ink.masks.rule import make_mask
from lsdc.challenges.ink.predict.block import (
    VOLUME,
    predict_map,
    prepare_fragment,
    remove_fragment,
)
from lsdc.challenges.ink.predict.gather import (
    ROWS,
    Found,
    describe,
    gather,
    map_name,
    tabulate_faults,
)
from lsdc.challenges.ink.predict.key import key_of
from lsdc.challenges.ink.predict.models import TrainedModels
from lsdc.challenges.ink.predict.outcome import FragmentOutcome, describe_fragment
from lsdc.challenges.ink.predict.picture import draw_picture
from lsdc.challenges.ink.predict.sources import Source, open_source
from lsdc.challenges.ink.scoring.submission import write_submission
from lsdc.challenges.ink.volumes.volume import Volume
from lsdc.predict.blocks import predict_blocks
from lsdc.predict.files import require_folder
from lsdc.predict.making import Making, Options, making
from lsdc.predict.progress import OnProgress, ignore_progress
from lsdc.predict.results import CSV, FILES, JSON, PICTURES, SUBMISSION, Prediction, write_json
from lsdc.predict.unfinished import Block

UNIT = "fragment"
FRAGMENTS, MAPS = "fragments.csv", "maps"
_STEPS = ("reading layers", "predicting", "drawing")
_RESULTS = (CSV, FRAGMENTS, FILES, SUBMISSION, MAPS, PICTURES, JSON)


@dataclass(frozen=True)
class _Predictor:
    """Predicts the fragments of a source, each a block of its own."""

    adapter: ClassVar[TypeAdapter[list[FragmentOutcome]]] = TypeAdapter(list[FragmentOutcome])

    source: Source
    root: Path
    models: TrainedModels
    work: Making
    key: str
    pictures: bool

    def restore(self, blocks: Sequence[Block[FragmentOutcome]]) -> None:
        """Do nothing: no block depends on another."""

    def predict(self, ids: Sequence[str], folder: Path, *, is_last: bool) -> Block[FragmentOutcome]:  # noqa: ARG002
        """Predict a fragment, and draw it."""
        (name,) = ids
        # Unlike the block's, this folder stays after a kill, and is gone on from.
        working = folder.with_name(f"working-{folder.name}")
        prepared = prepare_fragment(
            self.source.folders[name],
            self.models.experiment.volume.bits,
            working,
            threads=self.work.at.threads,
            on_progress=self._prepared,
        )
        self.work.teller.step(1)
        found = predict_map(prepared, self.models, working, self.work.at, identity=self.key)
        self.work.teller.step(2)
        folder.mkdir()
        probabilities = inside = ink = None
        if found is not None:
            volume = Volume.open(working / VOLUME)
            inside, probabilities = np.asarray(volume.mask), np.load(found, mmap_mode="r")
            ink = make_mask(probabilities, inside, self.models.rule)
        outcome = describe_fragment(
            name, self.source.folders[name], self.root, prepared, probabilities, inside, ink
        )
        runs = "" if ink is None else encode(ink)
        row = pl.DataFrame({ID: name, PREDICTED: runs, "source": outcome.source})
        row.write_parquet(folder / ROWS)
        if found is not None and probabilities is not None and ink is not None:
            if self.pictures:
                picture = self.work.made / PICTURES / f"{name}.png"
                draw_picture(outcome, volume, probabilities, ink, self.models, picture)
            target = self.work.made / map_name(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            found.replace(target)
        remove_fragment(working)  # the larger part by far
        return Block(folder, [outcome], tabulate_faults(name, prepared), self.source.others.clear())

    def _prepared(self, done: int, units: int) -> None:
        self.work.teller.share(done / units, f"{done} of {units}")


def predict_fragments(
    root: Path,
    models: TrainedModels,
    out: Path,
    *,
    device: str = "auto",
    threads: int = 1,
    pictures: bool = True,
    on_progress: OnProgress = ignore_progress,
) -> Prediction[FragmentOutcome]:
    """Predict all fragments below a folder, and write the results into another one.

    Nothing is written outside of `out`, which holds `predict.log` from the start, and at the end
    all results, last of them `predictions.json`. Whatever stops it, the same call goes on with the
    same bits: fragments that are done are kept, and of the next one the prepared volume and the
    rows of tiles that are done. If a file or anything else that counts has changed, all is
    predicted anew.

    Args:
        root: a folder with fragments, or with the competition's sample submission and test/.
        models: the models of a run.
        out: the folder for the results; earlier ones are replaced.
        device: "auto", "cpu", "cuda" or any other of torch's devices.
        threads: number of torch's threads, and of threads that decode layers.
        pictures: whether to draw a picture of each fragment.
        on_progress: called as the work proceeds.

    Returns:
        What was predicted; `rows` is the table `fragments.csv`.

    Raises:
        DataError: the folder or its sample submission cannot be read, or it holds no fragment.
        StageError: the child process died.
        SettingsError: `out` holds other files.
        HomeBusyError: another prediction writes into `out`.
        NoSpaceError: the disk is full.
    """
    begun = time.monotonic()
    require_folder(root, "fragments")
    root, wanted = root.absolute(), wanted_rows(root)
    key = key_of(root, models, out, arguments=(device, threads, pictures))
    options = Options(device, threads, on_progress, UNIT)
    with making(out, key, _STEPS, options) as work:
        source = open_source(root, leave_out=out, may_be_empty=bool(wanted))
        predictor = _Predictor(source, root, models, work, key, pictures)
        blocks, kept = predict_blocks(predictor, source.blocks, work.at.folder, work.teller)
        found = gather(blocks, source, root)
        unknown = _write(found, wanted, root, models, work.made)
        files = work.put_in_place(_RESULTS)
    return Prediction(
        studies=found.fragments,
        rows=found.table,
        quarantine=found.bad,
        others=found.others,
        files=files,
        unknown_rows=unknown,
        seconds=time.monotonic() - begun,
        kept=kept,
    )


def _write(
    found: Found, wanted: Sequence[str], root: Path, models: TrainedModels, made: Path
) -> int:
    """Write all files into the folder `made`; return how many rows ask for unknown fragments."""
    found.rows.with_columns(pl.col(PREDICTED).replace("", None)).write_csv(made / CSV)
    found.table.write_csv(made / FRAGMENTS)
    found.files.write_csv(made / FILES)
    runs = dict(found.rows.select(ID, PREDICTED).iter_rows())
    unknown = [name for name in wanted if name not in runs]
    if wanted:
        runs |= dict.fromkeys(unknown, "")
        write_submission(runs, tuple(wanted), made / SUBMISSION)
    content = {
        **describe(found, models),
        "quarantine": found.bad.select("path", "stage", "reason", "fragment", "layer").to_dicts(),
        "other_files": found.others.to_dicts(),
        "rows_of_unknown_fragments": len(unknown),
    }
    write_json(made / JSON, root, models.name, [*models.folds], content)
    return len(unknown)
