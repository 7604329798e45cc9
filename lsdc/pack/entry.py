"""Predict a competition's test folder with the models of this bundle, without a network.

    python predict.py TEST_FOLDER --out submission.csv

TEST_FOLDER is the competition's, with its sample submission and test images. The prior's submission
is written first, so the submission is complete whatever happens afterwards. Nothing else is written
but a log beside it and a temporary folder (TMPDIR).

This file needs Python alone: the libraries may be what fails.
"""

import argparse
import csv
import hashlib
import importlib.metadata
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BUNDLE = Path(__file__).resolve().parent
_FORM, _MANIFEST = "submission.json", "bundle.json"
_STARTER = "lsdc.child"  # it ends the worker with this process, however that ends
_OLDEST_PYTHON = (3, 11)
# The worker ends by itself before the limit; a worker that does not is killed this much before it.
_RESERVE_SECONDS = 10.0
_EXIT_CODES = {0: 0, 3: 1, 4: 2}  # this process's, by the worker's
_EXIT_HELP = "Exit codes: 0 all predicted, 1 parts have the prior, 2 all has it, 130 interrupted."
# What the libraries would look up in the network or write into the user's folder.
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}
_CACHES = ("HF_HOME", "TORCH_HOME", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH")

Form = dict[str, Any]  # `lsdc.pack.layout.SubmissionForm`
Values = list[Any]  # numbers or text
Prior = dict[str, Values]  # of each cell
Row = tuple[str, bool, Values]  # a row id, whether it names an item and a cell, the prior's values


class BundleError(Exception):
    """The bundle or the test folder cannot be used; the text says why and what to do."""


def main() -> int:
    """Write the submission; return 0, or 1 if parts have the prior, or 2 if all of it has."""
    begun = time.monotonic()
    asked = _arguments()
    out = asked.out.absolute()
    try:
        form = _read_json(_BUNDLE / _FORM)
        rows = _wanted_rows(asked.test, form, _read_prior(form))
        _write_submission(rows, form, out)
    except BundleError as error:
        _say(f"predict.py: {error}", error=True)
        return 2
    except OSError as error:
        _say(f"{out}: cannot be written ({error.strerror}); give another --out", error=True)
        return 2
    _say(f"{len(rows):,} rows; {out} has the prior until they are predicted")
    if unknown := [row_id for row_id, known, _ in rows if not known]:
        what = f"{len(unknown):,} rows ask for nothing that is known, as {unknown[0]!r}"
        _say(f"{what}; they get {form['otherwise_as']}")
    try:
        _check_bundle()
        return _predict(asked, out, unknown, begun)
    except (BundleError, OSError) as error:
        _say(f"predict.py: {error}", error=True)
        _say(f"{out}: complete, but all of it is the prior", error=True)
        return 2


def _arguments() -> argparse.Namespace:
    what = "Predict a competition's test folder, offline."
    parser = argparse.ArgumentParser(prog="predict.py", description=what, epilog=_EXIT_HELP)
    option = parser.add_argument
    option("test", type=Path, metavar="TEST_FOLDER", help="the competition, with its test images")
    option("--out", type=Path, required=True, help="CSV file to write; a log is written beside it")
    option("--hours", type=float, default=9.0, help="time limit in hours (9)")
    option("--memory", type=float, default=16.0, help="memory limit in GB (16)")
    option("--device", default="auto", help="auto, cpu or cuda (auto)")
    option("--threads", type=int, default=_cores(), help="(one for each usable core)")
    less = "the most studies in memory together (64); fewer take less memory"
    option("--studies-at-once", type=int, default=64, help=less)
    asked = parser.parse_args()
    for name, value in vars(asked).items():
        if type(value) in (int, float) and not 0 < value < math.inf:
            name = name.replace("_", "-")
            parser.error(f"argument --{name}: expected a number above 0, got {value}")
    if not re.fullmatch("cpu|(auto|cuda)(:[0-9]+)?", asked.device):
        parser.error(f"argument --device: expected auto, cpu or cuda, got {asked.device!r}")
    return asked


def _cores() -> int:
    """Return the number of threads: LSDC_THREADS, else one for each usable core."""
    given = os.environ.get("LSDC_THREADS", "")
    if given.isdecimal() and int(given):
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS


def _say(text: str, *, error: bool = False) -> None:
    print(text, file=sys.stderr if error else sys.stdout, flush=True)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); copy the bundle again") from error
    return content


def _read_prior(form: Form) -> Prior:
    """Return the mean of the runs' priors."""
    found: list[Prior] = []
    for path in sorted(_BUNDLE.glob("models/*/prior.csv")):
        try:
            found.append(_prior_of(path, form))
        except (OSError, ValueError, KeyError, csv.Error) as error:
            why = f"{type(error).__name__}: {error}"
            _say(f"{path}: no prior ({why}); pack again", error=True)
    if not found:
        _say(f"{_BUNDLE}: no prior in it, so rows get {form['otherwise_as']}", error=True)
    if isinstance(form["otherwise"], str):
        return {cell: values for prior in found for cell, values in prior.items()}
    cells = {cell: [p[cell] for p in found if cell in p] for prior in found for cell in prior}
    return {cell: [sum(p) / len(p) for p in zip(*own, strict=True)] for cell, own in cells.items()}


def _prior_of(path: Path, form: Form) -> Prior:
    values, kind = form["values"], type(form["otherwise"])
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    cells = ["_".join(row[name] for name in row if name not in values) for row in rows]
    return dict(zip(cells, ([kind(row[name]) for name in values] for row in rows), strict=True))


def _wanted_rows(test: Path, form: Form, prior: Prior) -> list[Row]:
    """Return the rows of the sample submission; without one, those of all items that are there.

    Raises:
        BundleError: no row and no item is found.
    """
    if not test.is_dir():
        raise BundleError(
            f"{test}: no such folder, expected a competition's with {form['expected']}"
        )
    samples = [test / name for name in form["samples"]]
    sample = next((path for path in samples if path.is_file()), samples[0])
    ids = list(_column(sample, form["row_id"]))
    if not ids:
        items = sorted(_items(test, form), key=lambda item: (len(item), item))
        ids = [f"{item}_{cell}" if cell else item for item in items for cell in sorted(prior)]
        if ids:
            _say(f"{test}: no row in {sample.name}, so all {len(items):,} {form['items']} get rows")
    if not ids:
        raise BundleError(
            f"{test}: no row to predict, expected {form['expected']}; give the folder of the "
            "competition"
        )
    pattern = re.compile(f"(?:{form['item']})_(.+)")
    nothing = [form["otherwise"]] * len(form["values"])
    rows: list[Row] = []
    for row_id in dict.fromkeys(ids):
        match = pattern.fullmatch(row_id)
        values = prior.get(match[1]) if match and match[1] in prior else prior.get("")
        rows.append((row_id, values is not None, values or nothing))
    return rows


def _items(test: Path, form: Form) -> set[str]:
    """Return the items of the first table that lists any, else those that the folders hold."""
    for name, column in form["tables"]:
        if listed := set(_column(test / name, column)):
            return listed
    found = set()
    for name, pattern in form["folders"]:
        if (folder := test / name).is_dir():
            matches = (re.fullmatch(pattern, each.name) for each in folder.iterdir())
            found |= {match[1] for match in matches if match}
    return found


def _column(path: Path, name: str) -> Iterator[str]:
    """Yield the values of a column of a CSV file; none if the file or column is absent."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            for row in csv.DictReader(file):
                if value := (row.get(name) or "").strip():
                    yield value
    except FileNotFoundError:
        return
    except (OSError, csv.Error) as error:
        _say(f"{path}: cannot be read ({error}), so the rows before that count", error=True)


def _write_submission(rows: list[Row], form: Form, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([form["row_id"], *form["values"]])
            writer.writerows([row_id, *values] for row_id, _, values in rows)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(out)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _check_bundle() -> None:
    """Compare all files with their digests.

    Raises:
        BundleError: Python is too old, or a file is missing or was changed.
    """
    if sys.version_info[:2] < _OLDEST_PYTHON:
        raise BundleError(
            f"Python {sys.version.split()[0]}, expected {'.'.join(map(str, _OLDEST_PYTHON))} or "
            "newer; start predict.py with another Python"
        )
    for name, expected in _manifest()["files"].items():
        path = _BUNDLE / name
        if not path.is_file():
            raise BundleError(f"{path}: missing in the bundle; copy the whole bundle again")
        if (found := _digest(path)) != expected["sha256"]:
            raise BundleError(
                f"{path}: SHA-256 {found[:12]}..., expected {expected['sha256'][:12]}..., so it "
                "was changed or damaged; copy the bundle again, or pack again"
            )


def _manifest() -> dict[str, Any]:
    manifest = _read_json(_BUNDLE / _MANIFEST)
    if (found := manifest.get("bundle")) != 1:
        raise BundleError(f"{_BUNDLE / _MANIFEST}: layout {found}, expected 1; pack again")
    return manifest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _predict(asked: argparse.Namespace, out: Path, unknown: list[str], begun: float) -> int:
    """Run the worker, and end it at the time limit."""
    log = out.with_name(f"{out.stem}.log")
    log.unlink(missing_ok=True)
    ends = begun + asked.hours * 3600 - _RESERVE_SECONDS
    with tempfile.TemporaryDirectory(prefix="lsdc-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        environment = _environment(work)
        _provide_libraries(work / "libraries", environment, log)
        order = {
            "bundle": str(_BUNDLE),
            "test": str(asked.test.absolute()),
            "out": str(out),
            "log": str(log),
            "work": str(work),
            "device": asked.device,
            "threads": asked.threads,
            "memory_gb": asked.memory,
            "seconds": max(ends - time.monotonic(), 0.0),
            "studies_at_once": asked.studies_at_once,
            "unknown": unknown,
        }
        (work / "order.json").write_text(json.dumps(order), encoding="utf-8")
        return _run_worker(work / "order.json", environment, out, ends)


def _environment(work: Path) -> dict[str, str]:
    places = [str(work / "libraries"), str(_BUNDLE / "code"), os.environ.get("PYTHONPATH", "")]
    caches = {name: str(work / "caches" / name.lower()) for name in _CACHES}
    return {
        **os.environ,
        **_OFFLINE,
        **caches,
        "PYTHONPATH": os.pathsep.join(filter(None, places)),
        "TMPDIR": str(work),
    }


def _provide_libraries(folder: Path, environment: dict[str, str], log: Path) -> None:
    """Install the bundle's wheels that this Python has not in the same version.

    Raises:
        BundleError: pip failed, or a library is neither here nor in the bundle.
    """
    wheels = {_library_of(each): each for each in sorted((_BUNDLE / "wheels").glob("*.whl"))}
    packed: dict[str, str] = _manifest()["libraries"]
    here = {name: _version_here(name) for name in packed}
    if lacking := [name for name in packed if not here[name] and _plain(name) not in wheels]:
        raise BundleError(
            f"{', '.join(lacking)}: neither in this Python ({sys.executable}) nor in the bundle; "
            f"pack again with --wheels, or install {_BUNDLE / 'requirements.txt'}"
        )
    differ = [
        f"{name} {here[name]} ({version})"
        for name, version in packed.items()
        if here[name] != version and _plain(name) not in wheels
    ]
    if differ:
        _say(f"other versions than where the bundle was made (in brackets): {', '.join(differ)}")
    to_install = [
        str(path) for name, path in wheels.items() if _version_here(name) != path.name.split("-")[1]
    ]
    if to_install:
        _install(to_install, folder, environment, log)


def _install(wheels: list[str], folder: Path, environment: dict[str, str], log: Path) -> None:
    _say(f"unpacks {', '.join(_library_of(Path(wheel)) for wheel in wheels)}")
    command = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check"]
    command += ["install", "--quiet", "--no-cache-dir", "--no-index", "--no-deps", "--no-compile"]
    command += ["--root-user-action", "ignore", "--target", str(folder), *wheels]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise BundleError(
            f"pip could not install the bundle's wheels ({last}; all output is in {log}); this is "
            f"Python {sys.version.split()[0]}, and the bundle was made for "
            f"{_manifest()['python']}; pack again with --python"
        )


def _library_of(wheel: Path) -> str:
    return _plain(wheel.name.split("-")[0])


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()  # the canonical form


def _version_here(name: str) -> str:
    """Return the version of a library in this Python; empty if it lacks it."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _run_worker(order: Path, environment: dict[str, str], out: Path, ends: float) -> int:
    before = _digest_of_rows(out)
    command = [sys.executable, "-P", "-m", _STARTER, _manifest()["worker"], str(order)]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, stdin=subprocess.PIPE
    )
    try:
        code = process.wait(max(ends - time.monotonic(), 0.0) + _RESERVE_SECONDS / 2)
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as end:
        os.killpg(process.pid, signal.SIGKILL)  # its own children end with it
        process.wait()
        is_late = isinstance(end, subprocess.TimeoutExpired)
        why, code = ("the time ended", 1) if is_late else ("interrupted", 130)
    else:
        if code in _EXIT_CODES:
            return _EXIT_CODES[code]
        why, code = f"the predicting process ended with exit code {code}; see the lines above", 1
        if process.returncode < 0:
            why = f"the predicting process was killed by {signal.Signals(-process.returncode).name}"
            why += " (the system does this when memory runs out; try --studies-at-once 8)"
    reached = _digest_of_rows(out) != before
    what = "with the prior where it was not reached" if reached else "but all of it is the prior"
    _say(f"{out}: complete, {what}: {why}", error=True)
    return 2 if code == 1 and not reached else code


def _digest_of_rows(path: Path) -> str:
    """Return a digest of a submission's rows, in which a number counts however it is written."""
    csv.field_size_limit(2**31 - 1)  # a mask of a large image has more than the usual 128 KiB
    digest, kind = hashlib.sha256(), type(_read_json(_BUNDLE / _FORM)["otherwise"])
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        for row_id, *values in rows:
            digest.update(repr([row_id, *map(kind, values)]).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
