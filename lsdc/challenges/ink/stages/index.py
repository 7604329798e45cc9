"""Index: the fragments of both splits, and the headers of their layers."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from lsdc.challenges.ink import index
from lsdc.challenges.ink.competition.tables import Competition, list_layers, open_competition
from lsdc.challenges.ink.run import InkRun
from lsdc.store.files import write_folder
from lsdc.store.manifest import Manifest, store_folder
from tasks.progress import steps_callback
from tasks.stage import stage


def digest_files(competition: Competition) -> str:
    """Return a fingerprint of the names, sizes and times of all fragments' files."""
    lines = []
    for fragment in competition.fragments:
        pictures = [path for path in (fragment.mask, fragment.labels) if path.is_file()]
        for path in (*pictures, *list_layers(fragment.folder)):
            stat = path.stat()
            lines.append(f"{path.relative_to(competition.root)} {stat.st_size} {stat.st_mtime_ns}")
    return blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def _uses(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    run: InkRun = inputs["run"]
    return {"data": run.data, "files": digest_files(open_competition(run.data))}


@stage(
    "index",
    code=("lsdc.challenges.ink.index",),
    libraries=("polars", "tifffile"),
    uses=_uses,
    run_name="index",
    timeout_hours=1,
)
def index_layers(run: InkRun) -> Manifest:
    """Read the headers of all layers, so that missing and odd ones are named at once."""
    with write_folder(run.root / "index") as out:
        rows = index.write_index(open_competition(run.data), out, steps_callback("index"))
        return store_folder(run.root, "index", out, rows=rows)
