"""Phantom: the synthetic competition of runs without data of their own."""

import shutil
from collections.abc import Callable
from pathlib import Path

from lsdc.store.files import write_folder
from lsdc.store.manifest import Manifest, make_manifest
from tasks.run import Run


def replace_phantom(run: Run, write: Callable[[Path], None], *, rows: int) -> Manifest:
    """Write the phantom into its folder in the home, in place of an earlier one.

    Args:
        run: the run.
        write: writes a phantom into an empty folder.
        rows: the number of its studies, or of what it has in place of them.
    """
    with write_folder(run.root) as out:
        write(out)
        shutil.rmtree(run.data, ignore_errors=True)
        out.rename(run.data)
    files = [path for path in run.data.rglob("*") if path.is_file()]
    names = [path.relative_to(run.data).as_posix() for path in files]
    return make_manifest(run.root, "phantom", run.data, rows=rows, names=names)
