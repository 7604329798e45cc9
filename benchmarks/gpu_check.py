"""Does lsdc train as it should on this machine's GPU? Under eight minutes; `make gpu-check`.

    python benchmarks/gpu_check.py [--device cuda] [--tiny] [--parts NAME ...] [--full] [--json]

Each part is a process of its own with a time limit, and its failure ends no other part:

- `tests`: the tests that need a GPU.
- `engine`: exp118 in bfloat16 (channels_last, as always), beside a bare loop over one batch that is
  on the GPU already; the engine reaches 97 % of its rate.
- `compile`: the same with the backbone compiled by torch.compile, in both. lsdc has no such
  setting; the figures say what it would bring.
- `joint`: 200 steps of `winners-joint` at full size, on random crops: samples a second, peak
  memory, and the share of the time in which the GPU waits for data.
- `resume`: a training killed by SIGKILL goes on to the same bits as one that was not.
- `processes`: two processes train a fold to the weights of one, up to rounding: by NCCL with a GPU
  each, else by gloo on the same one.

A table says what came of each; the exit code is 1 if a part failed. `--full` writes the figures to
RESULTS.md. `--device cpu --tiny` runs all of it in a small form without a GPU.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from engine import FOLD_SAMPLES, measure_on, start_model, time_training
from random_fold import job_of, write_random_fold
from results import record
from safetensors.torch import load_file

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.training.fold_data import read_folds
from lsdc.challenges.lumbar.training.train_fold import FoldJob
from lsdc.errors import ChildDiedError
from lsdc.jobs.fold import train_fold
from lsdc.run_context import run_context
from lsdc.store.files import digest_file
from lsdc.training.events import Event, StepDone
from lsdc.training.process import OnEvent, ignore

ROOT = Path(__file__).parents[1]
Figures = dict[str, Any]

TINY = [
    *("crops.size_px=32", "model.backbone=test_convnext", "model.width=16"),
    *("slices.side_slices=1", "slices.middle_slices=1", "slices.axial_slices=1"),
    *("training.batch_size=2", "training.accumulate=2"),
]
# A training of a few seconds; with a checkpoint between its start and its kill.
SHORT = [
    *("crops.size_px=64", "training.epochs=2", "training.checkpoint_steps=3"),
    *("training.schedule=cosine", "training.ema_decay=0.9"),
]
FOUND = "found.json"  # what came of a part
KILLED_AT = 5  # step of the first epoch
_LEAST_RATIO = 0.97
_MOST_ROUNDING = 1e-2  # convolutions in TF32


@dataclass(frozen=True)
class Place:
    """Where a part runs: the device, whether in the tiny form, and a folder for its files."""

    device: str
    tiny: bool
    folder: Path

    @property
    def cores(self) -> int:
        """The number of cores that the process may use."""
        return len(os.sched_getaffinity(0))

    @property
    def workers(self) -> int:
        """The number of processes that load data, as `tasks.run` has it."""
        return self.cores if self.device.startswith("cuda") else 0

    def joint(self, *changes: str) -> Experiment:
        """Return `winners-joint`, not pretrained: a bare machine has no weights."""
        settings = ["model.pretrained=false", *changes, *(TINY if self.tiny else [])]
        return EXPERIMENTS.load("winners-joint", settings)


def check_tests(place: Place) -> tuple[Figures, str]:
    """Run the tests that need a GPU."""
    report = place.folder / "tests.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "gpu",
        f"--junitxml={report}",
        "tests/training",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        failed = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
        raise RuntimeError("; ".join(failed or lines[-3:]))
    (suite,) = ElementTree.parse(report).getroot()
    tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    if place.device.startswith("cuda") and skipped == tests:
        raise RuntimeError(f"all {tests} tests were skipped")
    passed = tests - skipped
    return {"tests": passed}, f"{passed} tests passed, {skipped} were skipped"


def check_engine(place: Place, *, compiled: str | None = None) -> tuple[Figures, str]:
    """Compare the engine with a bare loop, with or without compiled backbones."""
    name, steps = ("demo", 6) if place.tiny else ("exp118", 60)
    few = ["training.batch_size=2"] if place.tiny else []
    experiment = EXPERIMENTS.load(name, ["training.precision=bfloat16", *few])
    found = measure_on(
        torch.device(place.device),
        experiment,
        steps=steps,
        workers=place.workers,
        start=partial(start_model, compiled=compiled),
    )
    needed = 0.0 if compiled or place.device == "cpu" else _LEAST_RATIO
    if found["gpu_ratio"] < needed:
        raise RuntimeError(f"the engine is too slow beside the bare loop: {found}")
    figures = {f"{'compiled' if compiled else 'engine'}_{key}": found[key] for key in found}
    return figures, (
        f"{name}: {found['gpu_engine_samples_a_second']} samples a second, a bare loop "
        f"{found['gpu_bare_loop_samples_a_second']} (ratio {found['gpu_ratio']})"
    )


def check_compile(place: Place) -> tuple[Figures, str]:
    """Compare the two with backbones that torch.compile has compiled."""
    return check_engine(place, compiled="eager" if place.tiny else "inductor")


def check_joint(place: Place) -> tuple[Figures, str]:
    """Measure a fold of winners-joint at full size for 200 steps."""
    studies, repeats = (2, 2) if place.tiny else (32, 20)
    times = f"labels.oversample=[{repeats}, {repeats}, {repeats}]"
    experiment = place.joint(times, "training.epochs=1")
    write_random_fold(place.folder, experiment, studies)
    job = job_of(place.folder, experiment, place.folder, device=place.device, threads=1)
    data = read_folds(
        experiment,
        job.left_out,
        crops=job.crops,
        labels=job.labels,
        folds=job.folds,
        holdout=None,
        marks=job.marks,
    )
    device = torch.device(place.device)
    timing = time_training(
        experiment,
        start_model(experiment),
        data.training(None),
        data.validation,
        clock=time.perf_counter,
        device=device,
        workers=place.workers,
    )
    settings = experiment.training
    warm = len(timing.ended) // 3  # kernels are chosen and queues filled
    seconds = timing.ended[-1] - timing.ended[warm]
    steps = len(timing.ended) - 1 - warm
    rate = steps * settings.batch_size * settings.accumulate / seconds
    waits = np.subtract(timing.loaded[1:], timing.ended[:-1])[warm:]
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
    minutes = place.joint().training.epochs * FOLD_SAMPLES / rate / 60
    figures = {
        "joint_steps": len(timing.ended),
        "joint_samples_a_second": round(rate, 1),
        "joint_peak_gib": round(peak, 2),
        "joint_waiting_share": round(float(waits.sum()) / seconds, 3),
        "joint_fold_minutes": round(minutes, 1),
    }
    return figures, (
        f"winners-joint: {rate:.1f} samples a second, {peak:.1f} GiB of the GPU, waits for data in "
        f"{figures['joint_waiting_share']:.1%} of the time; a whole fold takes {minutes:.0f} min"
    )


def check_resume(place: Place) -> tuple[Figures, str]:
    """Kill a training, let it go on, and compare its bits with those of an undisturbed one."""
    experiment = place.joint(*SHORT)
    write_random_fold(place.folder, experiment, studies=6 if place.tiny else 20)

    def kill(event: Event) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (1, KILLED_AT):
            for process in tuple(run_context().children):
                process.kill()

    whole = _train(place, experiment, "whole")
    try:
        _train(place, experiment, "killed", on_event=kill)
    except ChildDiedError:
        resumed = _train(place, experiment, "killed")
    else:
        raise RuntimeError(f"the training ended before its step {KILLED_AT}")
    if digest_file(whole) != digest_file(resumed):
        again = digest_file(_train(place, experiment, "again")) == digest_file(whole)
        why = "which two undisturbed trainings have" if again else "nor have two undisturbed ones"
        raise RuntimeError(f"killed and resumed, the weights do not have the same bits, {why}")
    return {"resume_same_bits": True}, "killed by SIGKILL and resumed: the same bits"


def check_processes(place: Place) -> tuple[Figures, str]:
    """Train a fold by one process and by two, and compare weights and times."""
    experiment = place.joint(*SHORT, "training.precision=float32")
    write_random_fold(place.folder, experiment, studies=6 if place.tiny else 20)
    gpus = torch.cuda.device_count() if place.device.startswith("cuda") else 0
    beside = "cuda:1" if gpus > 1 else place.device
    runs: tuple[list[StepDone], list[float]] = [], []

    def note(event: Event) -> None:
        if isinstance(event, StepDone):
            runs[0].append(event)
            runs[1].append(time.perf_counter())

    one = _train(place, experiment, "one", on_event=note)
    two = _train(place, experiment, "two", beside=(beside,), on_event=note)
    steps, half = runs[0], len(runs[0]) // 2
    norms = steps[0].gradient_norm, steps[half].gradient_norm
    off = {
        "processes_gradient_difference": abs(norms[1] / norms[0] - 1),
        "processes_difference": _difference(load_file(one), load_file(two)),
    }
    alone, together = (np.median(np.diff(each)) for each in (runs[1][:half], runs[1][half:]))
    backend = "NCCL, a GPU each" if gpus > 1 else f"gloo, both on {place.device}"
    if max(off.values()) > _MOST_ROUNDING:
        raise RuntimeError(f"two processes ({backend}) do not train as one: {off}")
    return {**off, "processes_speed": round(float(alone / together), 2)}, (
        f"two processes ({backend}) reach the weights of one, up to "
        f"{off['processes_difference']:.0e}; {alone / together:.2f} times as fast"
    )


def _train(
    place: Place,
    experiment: Experiment,
    name: str,
    *,
    beside: tuple[str, ...] = (),
    on_event: OnEvent = ignore,
) -> Path:
    """Train the fold in the part's folder in processes of its own; return the weights' file."""
    out, threads = place.folder / name, max(1, place.cores // 2)
    workers = min(4, place.workers)
    job: FoldJob = job_of(
        place.folder, experiment, out, device=place.device, threads=threads, workers=workers
    )
    train_fold(
        job.model_copy(update={"beside": beside}), log=place.folder / "log", on_event=on_event
    )
    return out / "model.safetensors"


def _difference(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> float:
    """Return the distance of two models' weights, as a fraction of their length."""
    weights, others = (
        torch.cat([each.flatten() for each in both.values()]) for both in (one, other)
    )
    return float((weights - others).double().norm() / weights.double().norm())


@dataclass(frozen=True)
class Part:
    """A part of the check, and its time limit: together they take less than eight minutes."""

    check: Callable[[Place], tuple[Figures, str]]
    seconds: float


PARTS = {
    "tests": Part(check_tests, 85),
    "engine": Part(check_engine, 60),
    "compile": Part(check_compile, 95),
    "joint": Part(check_joint, 90),
    "resume": Part(check_resume, 75),
    "processes": Part(check_processes, 60),
}
_SLOWER = 6.0  # how much longer a part may take in the tiny form, whose machine may be busy


def main() -> None:
    """Run the parts one after the other, and print what came of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="small models and few steps")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--full", action="store_true", help="record the figures in RESULTS.md")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = "cuda:0" if options.device == "cuda" else "cpu"
    if device != "cpu" and not torch.cuda.is_available():
        parser.error("no GPU that torch can use; --device cpu --tiny runs the check without one")
    if options.folder is not None:  # the process of a part
        (name,) = options.parts
        run_here(name, Place(device, options.tiny, options.folder))
        return
    outcomes = {name: run_part(name, options.device, tiny=options.tiny) for name in options.parts}
    whole: Figures = {"device": torch.cuda.get_device_name(0) if device != "cpu" else "cpu"}
    for outcome in outcomes.values():
        whole |= outcome.figures
    if options.full:
        record("GPU", "make gpu-check", whole | {k: v.status for k, v in outcomes.items()})
    if options.json:
        print(json.dumps(whole | {"failed": [k for k, v in outcomes.items() if v.failed]}))
    else:
        for name, outcome in outcomes.items():
            print(f"{name:10} {outcome.status:7} {outcome.seconds:4.0f} s  {outcome.words}")
    sys.exit(any(outcome.failed for outcome in outcomes.values()))


def run_here(name: str, place: Place) -> None:
    """Run a part in this process, and leave what came of it in its folder."""
    found = place.folder / FOUND
    try:
        figures, words = PARTS[name].check(place)
    except Exception as error:
        found.write_text(json.dumps([{}, " ".join(str(error).split())]))
        raise
    found.write_text(json.dumps([figures, words]))


@dataclass(frozen=True)
class Outcome:
    """What came of a part."""

    failed: bool
    seconds: float
    figures: Figures
    words: str

    @property
    def status(self) -> str:
        """The outcome in a word."""
        return "FAILED" if self.failed else "passed"


def run_part(name: str, device: str, *, tiny: bool) -> Outcome:
    """Run a part in a process group of its own, which is ended after the part's time limit."""
    limit = PARTS[name].seconds * (_SLOWER if tiny else 1.0)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="gpu-check-"))
    command = [sys.executable, __file__, "--device", device, "--parts", name, "--in", str(folder)]
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [*command, *(["--tiny"] if tiny else [])],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
            os.killpg(process.pid, signal.SIGKILL)  # trainings end with the process that began them
            process.wait()
    seconds = time.monotonic() - began
    try:
        figures, words = json.loads((folder / FOUND).read_text())
    except FileNotFoundError:
        figures = {}
        words = ((folder / "output").read_text().strip().splitlines() or ["no output"])[-1]
    if code is None:
        words = f"stopped after {limit:.0f} s, its limit; {words}"
    shutil.rmtree(folder)
    return Outcome(code != 0, seconds, figures, words)


if __name__ == "__main__":
    main()
