"""Fault campaign: thousands of damaged files, and runs that are killed.

A sample runs every time, all of them with `make test-slow-index`.
"""

import logging
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest

from lsdc.dicom.reader import Unreadable
from lsdc.dicom_index.folder_index import index_tree
from tests.dicom.mutations import GIGABYTE, write_mutations
from tests.dicom.reading import children, images_by_index
from tests.dicom_index.indexing import Tables, assert_same, index, read_tables

log = logging.getLogger(__name__)

# One file may hang both readers in each of four attempts; a run of all files takes far less.
NEVER_HANGS_SECONDS = 1200.0


@dataclass
class Watch:
    """Observations of the children of this process, made every few milliseconds."""

    most_bytes: int = 0
    pids: set[int] = field(default_factory=set)
    limits: set[int] = field(default_factory=set)

    def look(self) -> None:
        """Record the children that exist now."""
        for child in psutil.Process().children():
            try:
                command = child.cmdline()
                if "lsdc.dicom.child" not in command:
                    continue
                self.most_bytes = max(self.most_bytes, child.memory_info().rss)
                if child.pid not in self.pids and sys.platform == "linux":
                    self.limits.add(child.rlimit(psutil.RLIMIT_AS)[0])
                self.pids.add(child.pid)
            except psutil.Error:  # it ended meanwhile
                continue


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Watch the children while a test runs."""
    watch, done = Watch(), threading.Event()

    def go() -> None:
        while not done.wait(0.03):
            watch.look()

    thread = threading.Thread(target=go)
    thread.start()
    yield watch
    done.set()
    thread.join()


@pytest.fixture(
    scope="module", params=["sample", pytest.param("all", marks=pytest.mark.slow_index)]
)
def mutated(
    request: pytest.FixtureRequest, phantom: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a tree of mutated files."""
    root = tmp_path_factory.mktemp("mutated")
    count = write_mutations(root, phantom, every=1 if request.param == "all" else 30)
    assert count >= (2500 if request.param == "all" else 120)
    return root


def names_of(root: Path) -> list[bytes]:
    """Return all entries of the tree that are not folders, sorted."""
    paths = sorted(path for path in root.rglob("*") if path.is_symlink() or not path.is_dir())
    return [os.fsencode(path) for path in paths]


def test_mutated_files_affect_no_other_files(mutated: Path, tmp_path: Path, watch: Watch) -> None:
    begun = time.monotonic()
    first, tables = index(mutated, tmp_path / "first")  # it checks that each entry is one row
    elapsed = time.monotonic() - begun
    second, again = index(mutated, tmp_path / "second")
    assert elapsed < NEVER_HANGS_SECONDS
    assert not children()
    assert watch.most_bytes < GIGABYTE
    if sys.platform == "linux":
        # Observed before or after it is set: a child sets its limit before it reads a file.
        assert watch.limits <= {GIGABYTE, psutil.Process().rlimit(psutil.RLIMIT_AS)[0]}
    assert second == first
    assert_same(again, tables)
    say(tables, f"indexed {first.files} files in {elapsed:.0f} s", watch)


def say(tables: Tables, what: str, watch: Watch) -> None:
    """Log the figures of the campaign."""
    reasons = Counter(
        "".join("#" if letter.isdigit() else letter for letter in reason)
        for reason in tables["quarantine"]["reason"]
    )
    deaths = sum(n for reason, n in reasons.items() if "killed by" in reason)
    log.info(
        "%s: %d usable, %d quarantined, %d crashed the second reader or both readers, "
        "%d children seen, at most %d MiB each",
        *(what, len(tables["instances"]), len(tables["quarantine"]), deaths),
        *(len(watch.pids), watch.most_bytes // 2**20),
    )
    for reason, times in reasons.most_common():
        log.info("%5d  %s", times, reason)


def test_every_mutated_file_has_an_image_or_a_reason(mutated: Path, watch: Watch) -> None:
    # Decoders need many children, so only half of a sample is read.
    names = names_of(mutated)
    names = names if len(names) > 2500 else names[::2]
    begun = time.monotonic()
    outcomes = list(images_by_index(names))
    elapsed = time.monotonic() - begun
    assert [number for number, _ in outcomes] == list(range(len(names)))
    reasons = Counter()
    for _, outcome in outcomes:
        if isinstance(outcome, Unreadable):
            reasons["".join("#" if letter.isdigit() else letter for letter in outcome.reason)] += 1
        else:
            assert outcome.dtype == np.float32
            assert outcome.ndim == 2
    assert elapsed < NEVER_HANGS_SECONDS
    assert not children()
    assert watch.most_bytes < GIGABYTE
    log.info(
        "pixels of %d files in %.0f s: %d unreadable, %d children seen, at most %d MiB each",
        *(len(names), elapsed, reasons.total(), len(watch.pids), watch.most_bytes // 2**20),
    )
    for reason, times in reasons.most_common():
        log.info("%5d  %s", times, reason)


# A process that indexes and kills itself at a given step. It prints when it begins and, at the end,
# the number of its steps. A step is a call to the file system.
RUN = """
import functools, os, signal, sys
from pathlib import Path
from lsdc.dicom.reader import read_headers
from lsdc.dicom_index import index
from lsdc.dicom_index.folder_index import index_tree

root, out, headers = map(Path, sys.argv[1:4])
last, steps = int(sys.argv[4]), 0
# So that there are several shards of headers.
index.read_headers = functools.partial(read_headers, block_files=100)

def step(event, _):
    global steps
    if event == "open" or event.startswith(("os.", "shutil.", "subprocess.", "tempfile.")):
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)

print("begun", flush=True)
sys.addaudithook(step)
index_tree(root, out, headers=headers)
print(steps, flush=True)
"""


@dataclass(frozen=True)
class Killable:
    """A tree, the tables of its index, and headers from when it had more files."""

    root: Path
    tables: Tables
    earlier_headers: Path

    def start(self, folder: Path, *, last: int = 0) -> "subprocess.Popen[str]":
        """Start an index, and return once it has begun."""
        (folder / "out").mkdir(parents=True, exist_ok=True)
        arguments = [self.root, folder / "out", folder / "headers", last]
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, *map(str, arguments)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        return process


@pytest.fixture(scope="module")
def killable(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Killable:
    folder = tmp_path_factory.mktemp("killable")
    root = folder / "tree"
    shutil.copytree(phantom, root)
    write_mutations(root, phantom, every=240)
    shutil.copytree(phantom / "train_images", root / "gone")
    index(root, folder / "out", headers=folder / "headers")
    shutil.rmtree(root / "gone")
    for path in sorted((root / "train_images").rglob("*.dcm"))[::3]:
        os.utime(path, ns=(0, 0))
    _, tables = index(root, folder / "clean")
    return Killable(root, tables, folder / "headers")


@pytest.mark.parametrize("times", [4, pytest.param(20, marks=pytest.mark.slow_index)])
def test_index_after_a_kill_equals_the_index_of_a_clean_run(
    killable: Killable, tmp_path: Path, times: int
) -> None:
    draw = random.Random(times)
    steps, seconds = {}, {}
    for known in (False, True):
        whole = tmp_path / f"whole-{known}"
        if known:
            shutil.copytree(killable.earlier_headers, whole / "headers")
        with killable.start(whole) as process:
            begun = time.monotonic()
            steps[known] = int(process.communicate(timeout=NEVER_HANGS_SECONDS)[0])
        seconds[known] = time.monotonic() - begun
        assert_same(read_tables(whole / "out"), killable.tables)
    killed = 0
    for number in range(times):
        folder = tmp_path / f"killed-{number}"
        known = number % 2 == 1
        if known:
            shutil.copytree(killable.earlier_headers, folder / "headers")
        if number % 4 < 2:  # by itself, at a step
            process = killable.start(folder, last=draw.randint(1, steps[known]))
            process.wait(timeout=NEVER_HANGS_SECONDS)
        else:  # from outside, at any time, also while tables are written
            process = killable.start(folder)
            try:
                process.wait(timeout=draw.uniform(0, seconds[known]))
            except subprocess.TimeoutExpired:
                process.kill()
        killed += process.wait() < 0
        assert process.stdout is not None
        process.stdout.close()
        indexed = index_tree(killable.root, folder / "out", headers=folder / "headers")
        kinds = [killable.tables[name] for name in ("instances", "quarantine", "other_files")]
        assert indexed.files == len({path for table in kinds for path in table["path"]})
        assert_same(read_tables(folder / "out"), killable.tables)
    assert killed >= times // 2
    log.info(
        "%d of %d runs were killed before their end; all were completed by the next index",
        killed,
        times,
    )
