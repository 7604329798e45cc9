"""What in a home no run refers to: results that others replaced, and leftovers."""

import json
from dataclasses import dataclass
from pathlib import Path

from lsdc.store.files import write_atomic
from lsdc.store.home import SHARDS, Home, find_leftovers
from lsdc.store.manifest import Manifest

STAGES = ("index", "folds", "annotations", "coordinates", "sides", "crops")


@dataclass(frozen=True)
class Rubbish:
    """A file or folder that may go, and why."""

    path: Path
    why: str
    bytes: int


def refer(home: Home, run: str, manifests: list[Manifest]) -> None:
    """Note which results a run rests on; `find_rubbish` spares them."""
    with write_atomic(home.run(run) / "rests-on.json") as temporary:
        paths = sorted({manifest.path for manifest in manifests})
        temporary.write_text(json.dumps(paths, indent=2) + "\n", encoding="utf-8")


def referred(home: Home, run: str) -> list[Path]:
    """The folders of the results that a run rests on; empty if there is no such run."""
    notes = home.run(run) / "rests-on.json"
    if not notes.is_file():
        return []
    return [home.root / path for path in json.loads(notes.read_text(encoding="utf-8"))]


def find_rubbish(home: Home) -> list[Rubbish]:
    """All that may be removed without any run noticing; only under the build lock."""
    kept = {path for run in home.runs.glob("*") for path in referred(home, run.name)}
    found = {
        result: f"{stage} of no run"
        for stage in STAGES
        for result in (home.root / stage).glob("[!.]*")
        if result not in kept
    }
    unfinished = (home.root / SHARDS).glob("[!.]*")
    found |= dict.fromkeys(unfinished, "made so far by a run that did not end")
    found |= dict.fromkeys(home.root.glob("replaced/*"), "replaced by other settings")
    found |= dict.fromkeys(find_leftovers(home), "left by a killed run")
    return [Rubbish(path, why, _bytes(path)) for path, why in sorted(found.items())]


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
