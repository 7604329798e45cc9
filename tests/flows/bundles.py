"""Bundles in a jail: without a network, a writable disk and libraries that the image lacks."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# What the code of bundles imports; all else that is installed here, such as Prefect, is left out.
# The first are those of the lumbar challenge, the second are needed besides by ink's.
LIBRARIES = (
    *("dataframely", "dicomsdl", "filelock", "numpy", "opencv-python-headless", "polars", "psutil"),
    *("pydantic", "pydicom", "safetensors", "scipy", "tenacity", "timm"),
    "torch",
)
LIBRARIES_OF_LAYERS = ("imagecodecs", "monai", "pillow", "tifffile")
# All is read-only but the folder of the submission and TMPDIR.
_JAIL = """\
mount --make-rprivate /
mount --bind {out} {out}
mount --bind {tmp} {tmp}
mount -o remount,ro,bind /
if touch {bundle}/written 2>/dev/null; then exit 99; fi
exec "$@"
"""

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Jail:
    """A place to run a bundle in.

    Attributes:
        folder: a folder of the test.
        python: the Python that runs it.
    """

    folder: Path
    python: Path

    def run(
        self, bundle: Path, arguments: Iterable[str | Path]
    ) -> subprocess.CompletedProcess[str]:
        """Run `predict.py` of a bundle; the submission's folder is `folder / "out"`."""
        return self.run_command(bundle, [self.python, bundle / "predict.py", *arguments])

    def run_command(self, bundle: Path, command: Iterable[str | Path]) -> Done:
        """Run a command."""
        out, tmp = self.folder / "out", self.folder / "tmp"
        for each in (out, tmp):
            each.mkdir(exist_ok=True)
        environment = {
            **{k: v for k, v in os.environ.items() if k in ("PATH", "LSDC_THREADS")},
            "HOME": str(self.folder / "no-home"),
            "TMPDIR": str(tmp),
        }
        jail = _JAIL.format(out=out, tmp=tmp, bundle=bundle)
        done = subprocess.run(
            ["unshare", "--net", "--mount", "sh", "-ec", jail, "sh", *map(str, command)],
            cwd=out,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 99, "the jail is not read-only"
        assert list(tmp.iterdir()) == []
        return done


def require_namespaces() -> None:
    """Skip the test where the system allows no namespaces without a network."""
    command = ["unshare", "--net", "--mount", "sh", "-ec", "mount --make-rprivate /"]
    if shutil.which("unshare") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("'unshare --net --mount' is not allowed here")


def linked_python(folder: Path, names: Iterable[str]) -> Path:
    """Make a virtual environment with links to some installed libraries and what they need."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for distribution in closure(names):
        root = Path(str(distribution.locate_file("")))
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if (root / top).exists() and not (site / top).exists():
                (site / top).symlink_to(root / top)
    return folder / "bin" / "python"


def closure(names: Iterable[str]) -> list[importlib.metadata.Distribution]:
    """Return some installed distributions and all that they need."""
    found: dict[str, importlib.metadata.Distribution] = {}
    pending = list(names)
    while pending:
        name = canonicalize_name(pending.pop())
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # for other systems
            continue
        needs = map(Requirement, found[name].requires or ())
        pending += [
            each.name for each in needs if not each.marker or each.marker.evaluate({"extra": ""})
        ]
    return list(found.values())
