"""Volumes: the layers of each fragment as one array, prepared once for memory mapping."""

from collections.abc import Mapping, Sequence
from typing import Any

from lsdc.challenges.ink.competition.tables import Fragment, open_competition
from lsdc.challenges.ink.run import InkRun
from lsdc.challenges.ink.vocabulary import Split
from lsdc.challenges.ink.volumes import prepare
from lsdc.store.files import write_folder
from lsdc.store.home import SHARDS
from lsdc.store.manifest import Manifest, store_folder
from tasks.shards import (
    SHARD_OPTIONS,
    Shard,
    require_same_versions,
    require_space_for,
    run_shards,
    shard_processes,
    shard_progress,
    split_into_shards,
    store_shard,
)
from tasks.stage import stage

_CODE = ("lsdc.challenges.ink.volumes.prepare",)
_LIBRARIES = ("imagecodecs", "numpy", "pillow", "tifffile")


def _uses(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"volume": inputs["run"].experiment.volume}


def _fragments(run: InkRun, split: Split) -> Sequence[Fragment]:
    competition = open_competition(run.data)
    return competition.training if split == "train" else competition.testing


@stage(
    "volumes",
    code=_CODE,
    libraries=_LIBRARIES,
    uses=_uses,
    run_name="volumes {split}",
    timeout_hours=24,
)
def prepare_volumes(run: InkRun, split: Split, index: Manifest) -> Manifest:
    """Decode the layers of a split's fragments into an array each."""
    fragments, bits = _fragments(run, split), run.experiment.volume.bits
    units = prepare.list_units(fragments)
    shards = split_into_shards(run, f"volumes {split}", prepare_shard, units)
    require_space_for(run, shards, prepare.count_bytes(fragments, bits))
    with (
        run_shards(prepare_shard, run, shards, split=split, index=index) as folders,
        write_folder(run.root / "volumes") as out,
    ):
        rows = prepare.join_shards(fragments, folders, out, bits=bits)
        return store_folder(run.root, "volumes", out, rows=rows)


@stage("volumes shard", code=_CODE, libraries=_LIBRARIES, uses=_uses, **SHARD_OPTIONS)
def prepare_shard(run: InkRun, shard: Shard, split: Split, index: Manifest) -> Manifest:  # noqa: ARG001 (a part of the key)
    """Decode a shard of a split's blocks of rows."""
    require_same_versions(shard, prepare_shard)
    with write_folder(run.root / SHARDS) as out:
        rows = prepare.prepare_shard(
            _fragments(run, split),
            [str(name) for name in shard.names],
            run.experiment.volume.bits,
            out,
            threads=shard_processes(run),
            on_progress=shard_progress(shard),
        )
        return store_shard(run, shard, out, rows=rows)
