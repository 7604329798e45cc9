from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lsdc.errors import SettingsError, StageError
from lsdc.training.checkpoint import load_progress
from lsdc.training.samples import Samples
from tests.training.runs import SETTINGS, SmallModel, build_model, run, same_weights

pytestmark = pytest.mark.usefixtures("one_thread")


def test_same_seed_same_weights(blobs: Samples, tmp_path: Path) -> None:
    one, other = build_model(), build_model()
    run(one, blobs, tmp_path / "one")
    run(other, blobs, tmp_path / "other")
    assert same_weights(one, other)


def test_it_learns(blobs: Samples, tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = []
    run(
        build_model(),
        blobs,
        tmp_path,
        settings=replace(SETTINGS, epochs=24, learning_rate=1e-2),
        score=lambda probabilities: float(
            -np.log(probabilities[np.arange(24), 1, blobs.labels[:, 1]]).mean()
        ),
        tell=lines.append,
    )
    scores = [line["score"] for line in lines if "score" in line]
    assert len(scores) == 24
    assert scores[-1] < 0.6 * np.log(3)
    steps = [line for line in lines if "step" in line]
    assert len(steps) == 72
    assert steps[-1]["seconds_left"] == 0


def test_gradients_of_two_batches_are_those_of_one_of_both(blobs: Samples, tmp_path: Path) -> None:
    def without_chance() -> SmallModel:
        model = build_model()
        model.dropout.p = 0.0
        model.backbone[1] = torch.nn.Identity()  # batch norm looks at one batch alone
        return model

    # An even number of labels of one class, so that every batch weighs the same.
    even = replace(blobs, labels=np.ones_like(blobs.labels))
    whole, halves = without_chance(), without_chance()
    run(whole, even, tmp_path / "whole", settings=replace(SETTINGS, batch_size=8))
    run(halves, even, tmp_path / "halves", settings=replace(SETTINGS, batch_size=4, accumulate=2))
    for name, weights in whole.state_dict().items():
        torch.testing.assert_close(halves.state_dict()[name], weights, rtol=1e-3, atol=1e-5)


def test_gradients_are_clipped_to_the_norm(blobs: Samples, tmp_path: Path) -> None:
    norms = {}
    for max_norm in (None, 1e-6):
        model = build_model()
        before = model.head.weight.detach().clone()
        settings = replace(
            SETTINGS, epochs=1, optimiser="radam", weight_decay=0.0, max_norm=max_norm
        )
        run(model, blobs, tmp_path / str(max_norm), settings=settings)
        norms[max_norm] = (model.head.weight - before).norm().item()
    assert norms[1e-6] < 1e-4 * norms[None]


def test_average_of_the_weights_is_kept_and_scored(blobs: Samples, tmp_path: Path) -> None:
    averaged, last = build_model(), build_model()
    run(averaged, blobs, tmp_path / "average", settings=replace(SETTINGS, ema_decay=0.9))
    run(last, blobs, tmp_path / "last")
    assert not same_weights(averaged, last)
    states = load_progress(tmp_path / "average" / "resume.pt", "test").states
    for key, weights in last.state_dict().items():
        assert torch.equal(states["model"][key], weights)
    for key, weights in averaged.state_dict().items():
        assert torch.equal(states["average"][f"module.{key}"], weights)


def test_frozen_backbone_stays_as_it_was_and_then_learns(blobs: Samples, tmp_path: Path) -> None:
    start = build_model().backbone.state_dict()
    seen: dict[int, dict[str, Tensor]] = {}
    model = build_model()

    def look(line: dict[str, Any]) -> None:
        if "score" in line:
            seen[line["epoch"]] = {k: v.clone() for k, v in model.backbone.state_dict().items()}

    run(model, blobs, tmp_path, settings=replace(SETTINGS, freeze_epochs=2), tell=look)
    assert all(torch.equal(seen[2][name], tensor) for name, tensor in start.items())
    assert not any(
        torch.equal(seen[3][name], tensor) for name, tensor in start.items() if "bias" in name
    )


@pytest.mark.parametrize(
    ("keep", "best_epoch"), [("last", 3), ("metric", 2), ("loss", 3), ("both", 2)]
)
def test_epoch_that_is_kept(keep: Any, best_epoch: int, blobs: Samples, tmp_path: Path) -> None:
    scores = iter([0.9, 0.3, 0.8])
    weights: dict[int, dict[str, Tensor]] = {}
    model = build_model()

    def look(line: dict[str, Any]) -> None:
        if "score" in line:
            weights[line["epoch"]] = {k: v.clone() for k, v in model.state_dict().items()}

    progress = run(
        model,
        blobs,
        tmp_path,
        settings=replace(SETTINGS, keep=keep),
        score=lambda _: next(scores),
        tell=look,
    )
    assert [row["score"] for row in progress.epochs] == [0.9, 0.3, 0.8]
    losses = [row["validation_loss"] for row in progress.epochs]
    assert losses == sorted(losses, reverse=True)  # it learns: the last epoch's loss is the best
    kept = model.state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in weights[best_epoch].items())


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_reduced_precision_learns_too(precision: Any, blobs: Samples, tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=8, learning_rate=1e-2, precision=precision)
    progress = run(build_model(), blobs, tmp_path, settings=settings)
    assert progress.epochs[-1]["loss"] < 0.9 * progress.epochs[0]["loss"]


def test_loss_that_is_not_finite_names_the_samples(blobs: Samples, tmp_path: Path) -> None:
    model = build_model()
    with torch.no_grad():
        model.head.weight.fill_(torch.nan)
    with pytest.raises(StageError, match=r"loss is nan in step 1 of epoch 1.*sample\d+, sample\d+"):
        run(model, blobs, tmp_path)
    assert not (tmp_path / "resume.pt").exists()


def test_gradient_that_is_not_finite_is_found_in_its_own_step(
    blobs: Samples, tmp_path: Path
) -> None:
    model = build_model()
    model.head.weight.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(StageError, match=r"gradient's norm is (nan|inf) in step 1 of epoch 1"):
        run(model, blobs, tmp_path)


def test_gradient_that_float16_can_never_hold_ends_the_training(
    blobs: Samples, tmp_path: Path
) -> None:
    model = build_model()
    model.head.weight.register_hook(lambda gradient: gradient * torch.inf)
    # Three steps an epoch, each halving 2 ** 16: after the seventeenth less than 1 is left.
    settings = replace(SETTINGS, epochs=8, precision="float16")
    with pytest.raises(StageError, match=r"norm is (nan|inf) in step 2 of epoch 6.*bfloat16"):
        run(model, blobs, tmp_path, settings=settings)


def test_memory_that_runs_out_names_the_batch_size_that_fits(
    blobs: Samples, tmp_path: Path
) -> None:
    class Hungry(SmallModel):
        def forward(self, slices: Tensor, present: Tensor) -> Tensor:
            if len(slices) > 5:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(slices, present)

    with pytest.raises(
        SettingsError, match=r"training.batch_size = 8 does not fit .* training.batch_size = 5 does"
    ):
        run(Hungry(), blobs, tmp_path)


def test_checkpoint_that_cannot_be_read_is_warned_of(blobs: Samples, tmp_path: Path) -> None:
    (tmp_path / "resume.pt").write_bytes(b"noise")
    lines: list[dict[str, Any]] = []
    run(build_model(), blobs, tmp_path, settings=replace(SETTINGS, epochs=1), tell=lines.append)
    assert "begins anew: its checkpoint cannot be read" in lines[0]["warning"]
    assert (tmp_path / "damaged-resume.pt").read_bytes() == b"noise"


def test_another_environment_is_recorded_and_warned_of(blobs: Samples, tmp_path: Path) -> None:
    def die(line: dict[str, Any]) -> None:
        if (line["epoch"], line.get("step")) == (2, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(build_model(), blobs, tmp_path, tell=die)
    lines: list[dict[str, Any]] = []
    progress = run(build_model(), blobs, tmp_path, environment={"threads": 2}, tell=lines.append)
    assert "threads 1 -> 2: not to the same bits" in lines[0]["warning"]
    assert [
        (process["from_epoch"], process["from_step"], process["threads"])
        for process in progress.processes
    ] == [(1, 1, 1), (2, 1, 2)]
