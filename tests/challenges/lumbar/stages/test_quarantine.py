"""Bad files are counted as a fraction of files, whatever their number of images."""

from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.errors import StageError
from lsdc.store.files import write_folder
from lsdc.store.manifest import Manifest, store_folder
from tasks.common import quarantine
from tasks.request import RunRequest
from tasks.run import Run, open_run


def made(run: Run, stage: str, **tables: pl.DataFrame) -> Manifest:
    """Return the result of a stage that wrote these tables."""
    with write_folder(run.root / stage) as out:
        for name, table in tables.items():
            table.write_parquet(out / f"{name}.parquet")
        return store_folder(run.root, stage, out, rows=sum(map(len, tables.values())))


@pytest.mark.parametrize("frames", [1, 1000])
def test_bad_files_are_counted_per_file_and_not_per_image(
    frames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "publish_catalog", lambda *_, **__: None)
    run = open_run(
        LumbarRun,
        RunRequest.of(experiment="demo", data=None, home=tmp_path / "home", folds=2, max_bad=0.1),
    )
    paths = pl.Series([f"/data/{number}.dcm" for number in range(100)])
    index = made(
        run, "index", instances=pl.DataFrame({"path": paths.gather([*range(100)] * frames)})
    )
    for bad, refused in ((10, False), (11, True)):
        rows = pl.DataFrame({"path": paths.head(bad), "stage": "crops", "reason": "cut off"})
        crops = made(run, "crops", quarantine=rows)
        if not refused:
            quarantine.refuse_bad_files(
                run, crops, index=index, images="instances", so_far=[index, crops]
            )
            continue
        with pytest.raises(StageError, match="11 of 100 files"):
            quarantine.refuse_bad_files(
                run, crops, index=index, images="instances", so_far=[index, crops]
            )
