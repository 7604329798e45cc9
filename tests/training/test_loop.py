from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lsdc.errors import SettingsError, StageError
from lsdc.training.checkpoint import load_progress
from lsdc.training.events import EpochDone, Event, StepDone, Warned
from lsdc.training.losses.graded import GradedLoss
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import EMPTY_LABEL, Labels, Samples
from lsdc.training.settings.loss import LossSettings
from tests.training.runs import (
    SETTINGS,
    SmallModel,
    altered,
    build_model,
    run,
    same_weights,
    without_batch_norm,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def test_same_seed_gives_the_same_weights(blobs: Samples, tmp_path: Path) -> None:
    one, other = build_model(), build_model()
    run(one, blobs, tmp_path / "one")
    run(other, blobs, tmp_path / "other")
    assert same_weights(one, other)


def test_training_reduces_the_loss(blobs: Samples, tmp_path: Path) -> None:
    lines: list[Event] = []
    run(
        build_model(),
        blobs,
        tmp_path,
        settings=altered(SETTINGS, epochs=24, learning_rate=1e-2),
        score=lambda probabilities: float(
            -np.log(probabilities[np.arange(24), 1, blobs.labels.grades[:, 1]]).mean()
        ),
        on_event=lines.append,
    )
    scores = [event.score for event in lines if isinstance(event, EpochDone)]
    assert len(scores) == 24
    assert scores[-1] < 0.6 * np.log(3)
    steps = [event for event in lines if isinstance(event, StepDone)]
    assert len(steps) == 72


def without_chance() -> SmallModel:
    """Return a model without batch norm and dropout."""
    model = without_batch_norm()
    model.dropout.p = 0.0
    return model


@pytest.fixture
def uneven(blobs: Samples) -> Samples:
    """Return samples of which some have few labels, so that batches have different weights."""
    labels = blobs.labels.grades.copy()
    labels[::3] = EMPTY_LABEL
    labels[1::3, 1] = EMPTY_LABEL
    return replace(blobs, labels=Labels(labels))


@pytest.mark.parametrize("labels", ["hard", "soft"])
@pytest.mark.parametrize("changes", [{}, {"max_norm": 0.5}, {"precision": "float16"}], ids=str)
def test_accumulated_batches_equal_one_large_batch(
    changes: dict[str, Any], labels: Any, uneven: Samples, tmp_path: Path
) -> None:
    criterion = GradedLoss(LossSettings(labels=labels), class_weights=(1.0, 2.0, 4.0))
    found = {}
    for batch_size, accumulate in ((10, 1), (5, 2), (2, 5)):  # 24 samples: a last step of 4
        settings = altered(SETTINGS, batch_size=batch_size, accumulate=accumulate, **changes)
        model = without_chance()
        folder = tmp_path / str(batch_size)
        progress = run(model, uneven, folder, settings=settings, criterion=criterion)
        found[batch_size] = model.state_dict(), progress.steps, progress.epochs
    rounding = {"rtol": 2e-2, "atol": 1e-3} if "precision" in changes else {"rtol": 1e-3}
    weights, steps, epochs = found.pop(10)
    for other, its_steps, its_epochs in found.values():
        for name in ("loss", "gradient_norm"):
            np.testing.assert_allclose(
                [row[name] for row in its_steps], [row[name] for row in steps], **rounding
            )
        for row, its_row in zip(epochs, its_epochs, strict=True):
            assert its_row == pytest.approx(row, rel=rounding["rtol"])
        if "precision" not in changes:
            for name, tensor in weights.items():
                torch.testing.assert_close(other[name], tensor, rtol=1e-3, atol=1e-5)


def test_loss_of_an_epoch_is_the_mean_over_its_labels(uneven: Samples, tmp_path: Path) -> None:
    model = without_chance()
    settings = altered(SETTINGS, batch_size=5, accumulate=2, epochs=1, learning_rate=1e-12)
    progress = run(model, uneven, tmp_path, settings=settings, augment=lambda sample, _: sample)
    (row,) = progress.epochs
    assert row["loss"] == pytest.approx(row["validation_loss"], rel=1e-5)  # on the same samples
    assert np.mean([step["loss"] for step in progress.steps]) != pytest.approx(
        row["loss"], rel=0.01
    )


def test_gradients_are_clipped_to_the_norm(blobs: Samples, tmp_path: Path) -> None:
    norms = {}
    for max_norm in (None, 1e-6):
        model = build_model()
        before = model.head.weight.detach().clone()
        settings = altered(
            SETTINGS, epochs=1, optimiser="radam", weight_decay=0.0, max_norm=max_norm
        )
        run(model, blobs, tmp_path / str(max_norm), settings=settings)
        norms[max_norm] = (model.head.weight - before).norm().item()
    assert norms[1e-6] < 1e-4 * norms[None]


def test_moving_average_of_the_weights_is_kept_and_scored(blobs: Samples, tmp_path: Path) -> None:
    averaged, last = build_model(), build_model()
    run(averaged, blobs, tmp_path / "average", settings=altered(SETTINGS, ema_decay=0.9))
    run(last, blobs, tmp_path / "last")
    assert not same_weights(averaged, last)
    states = load_progress(tmp_path / "average" / "resume.pt", "test").states
    for key, weights in last.state_dict().items():
        assert torch.equal(states["model"][key], weights)
    for key, weights in averaged.state_dict().items():
        assert torch.equal(states["average"][f"module.{key}"], weights)


def test_frozen_backbone_does_not_change_until_it_is_unfrozen(
    blobs: Samples, tmp_path: Path
) -> None:
    start = build_model().backbone.state_dict()
    seen: dict[int, dict[str, Tensor]] = {}
    model = build_model()

    def look(event: Event) -> None:
        if isinstance(event, EpochDone):
            seen[event.epoch] = {k: v.clone() for k, v in model.backbone.state_dict().items()}

    run(model, blobs, tmp_path, settings=altered(SETTINGS, freeze_epochs=2), on_event=look)
    assert all(torch.equal(seen[2][name], tensor) for name, tensor in start.items())
    assert not any(
        torch.equal(seen[3][name], tensor) for name, tensor in start.items() if "bias" in name
    )


@pytest.mark.parametrize(
    ("keep", "best_epoch"), [("last", 3), ("metric", 2), ("loss", 3), ("both", 2)]
)
def test_best_epoch_is_kept(keep: Any, best_epoch: int, blobs: Samples, tmp_path: Path) -> None:
    scores = iter([0.9, 0.3, 0.8])
    weights: dict[int, dict[str, Tensor]] = {}
    model = build_model()

    def look(event: Event) -> None:
        if isinstance(event, EpochDone):
            weights[event.epoch] = {k: v.clone() for k, v in model.state_dict().items()}

    progress = run(
        model,
        blobs,
        tmp_path,
        settings=altered(SETTINGS, keep=keep),
        score=lambda _: next(scores),
        on_event=look,
    )
    assert [row["score"] for row in progress.epochs] == [0.9, 0.3, 0.8]
    losses = [row["validation_loss"] for row in progress.epochs]
    assert losses == sorted(losses, reverse=True)  # the last epoch's loss is the best
    kept = model.state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in weights[best_epoch].items())


NAN = float("nan")


@pytest.mark.parametrize("keep", ["metric", "both"])
@pytest.mark.parametrize(
    ("scores", "kept_epoch"),
    [
        ([0.9, 0.3, NAN], 2),
        ([NAN, 0.9, NAN], 2),
        ([0.1, NAN, 0.9], 1),
        ([float("inf"), -float("inf"), 0.9], 3),
        ([NAN, NAN, NAN], 3),
    ],
    ids=str,
)
def test_epoch_without_a_finite_score_is_never_the_best(
    scores: list[float], kept_epoch: int, keep: Any, blobs: Samples, tmp_path: Path
) -> None:
    left = iter(scores)
    weights: dict[int, dict[str, Tensor]] = {}
    warnings: list[str] = []
    model = build_model()

    def look(event: Event) -> None:
        if isinstance(event, EpochDone):
            weights[event.epoch] = {k: v.clone() for k, v in model.state_dict().items()}
        warnings.extend([event.text] if isinstance(event, Warned) else [])

    settings = altered(SETTINGS, keep=keep)
    run(model, blobs, tmp_path, settings=settings, score=lambda _: next(left), on_event=look)
    kept = model.state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in weights[kept_epoch].items())
    ignored = ", ".join(str(n) for n, score in enumerate(scores, 1) if not np.isfinite(score))
    fate = "another epoch is kept" if np.isfinite(scores).any() else "the last epoch is kept"
    assert warnings == [
        f"training.keep {keep}: validation loss or score is not finite in epoch {ignored}; {fate}"
    ]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_training_in_reduced_precision_reduces_the_loss(
    precision: Any, blobs: Samples, tmp_path: Path
) -> None:
    settings = altered(SETTINGS, epochs=8, learning_rate=1e-2, precision=precision)
    progress = run(build_model(), blobs, tmp_path, settings=settings)
    assert progress.epochs[-1]["loss"] < 0.9 * progress.epochs[0]["loss"]


def test_loss_that_is_not_finite_names_the_samples(blobs: Samples, tmp_path: Path) -> None:
    model = build_model()
    with torch.no_grad():
        model.head.weight.fill_(torch.nan)
    with pytest.raises(StageError, match=r"loss is nan in step 1 of epoch 1.*sample\d+, sample\d+"):
        run(model, blobs, tmp_path)
    assert not (tmp_path / "resume.pt").exists()


def test_gradient_that_is_not_finite_is_an_error_in_its_step(
    blobs: Samples, tmp_path: Path
) -> None:
    model = build_model()
    model.head.weight.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(StageError, match=r"gradient's norm is (nan|inf) in step 1 of epoch 1"):
        run(model, blobs, tmp_path)


def overflowing() -> SmallModel:
    """Return a model whose gradients overflow in float16 until the scaler lowers its scale."""
    model = build_model()
    with torch.no_grad():
        model.head.weight.mul_(100)
    return model


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_skipped_updates_do_not_count_in_the_schedule(
    schedule: Any, blobs: Samples, tmp_path: Path
) -> None:
    settings = altered(SETTINGS, epochs=6, schedule=schedule, ema_decay=0.9, warmup=0.4)
    whole = run(build_model(), blobs, tmp_path / "float32", settings=settings)
    lines: list[Event] = []
    progress = run(
        overflowing(),
        blobs,
        tmp_path / "float16",
        settings=altered(settings, precision="float16"),
        on_event=lines.append,
    )
    done = [row for row in progress.steps if np.isfinite(row["gradient_norm"])]
    skipped = len(progress.steps) - len(done)
    assert skipped >= 2
    assert len(done) >= 5
    rates = [row["learning_rate"] for row in whole.steps]
    assert [row["learning_rate"] for row in done] == rates[: len(done)]
    assert progress.states["schedule"]["last_epoch"] == len(done)
    assert any(
        f"skipped {skipped} of {len(progress.steps)} updates" in event.text
        for event in lines
        if isinstance(event, Warned)
    )


def test_moving_average_ignores_skipped_updates(blobs: Samples, tmp_path: Path) -> None:
    """All updates of this epoch are skipped: weights and average do not change."""
    model = build_model()
    before = {name: weights.clone() for name, weights in model.named_parameters()}
    model.head.weight.register_hook(lambda gradient: gradient * torch.inf)
    settings = altered(SETTINGS, epochs=1, precision="float16", ema_decay=0.5)
    run(model, blobs, tmp_path, settings=settings)
    states = load_progress(tmp_path / "resume.pt", "test").states
    assert states["schedule"]["last_epoch"] == 0
    assert all(torch.equal(states["model"][name], weights) for name, weights in before.items())
    averaged = {name: states["average"][f"module.{name}"] for name in states["model"]}
    fresh = build_model().state_dict()
    assert all(torch.equal(averaged[name], tensor) for name, tensor in fresh.items())


def test_gradient_that_always_overflows_in_float16_is_an_error(
    blobs: Samples, tmp_path: Path
) -> None:
    model = build_model()
    model.head.weight.register_hook(lambda gradient: gradient * torch.inf)
    # Three steps per epoch, each halving the scale 2 ** 16: after the 17th it is below 1.
    settings = altered(SETTINGS, epochs=8, precision="float16")
    with pytest.raises(StageError, match=r"norm is (nan|inf) in step 2 of epoch 6.*bfloat16"):
        run(model, blobs, tmp_path, settings=settings)


def test_out_of_memory_error_names_the_batch_size_that_fits(blobs: Samples, tmp_path: Path) -> None:
    class Hungry(SmallModel):
        def forward(self, slices: Tensor, present: Tensor, _: Tensor | None = None) -> Outputs:
            if len(slices) > 5:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(slices, present)

    with pytest.raises(
        SettingsError, match=r"training.batch_size = 8 does not fit .* training.batch_size = 5 fits"
    ):
        run(Hungry(), blobs, tmp_path)


def test_out_of_memory_error_names_what_else_to_lower(blobs: Samples, tmp_path: Path) -> None:
    model = build_model()

    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    model.register_forward_pre_hook(refuse)
    with pytest.raises(SettingsError, match=r"try a smaller model.backbone or images.size_px, or"):
        run(model, blobs, tmp_path)


def test_unreadable_checkpoint_is_a_warning(blobs: Samples, tmp_path: Path) -> None:
    (tmp_path / "resume.pt").write_bytes(b"noise")
    lines: list[Event] = []
    run(build_model(), blobs, tmp_path, settings=altered(SETTINGS, epochs=1), on_event=lines.append)
    assert "starts again: its checkpoint cannot be read" in str(lines[0])
    assert (tmp_path / "damaged-resume.pt").read_bytes() == b"noise"


def test_change_of_environment_is_recorded_with_a_warning(blobs: Samples, tmp_path: Path) -> None:
    def die(event: Event) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (2, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(build_model(), blobs, tmp_path, on_event=die)
    lines: list[Event] = []
    progress = run(
        build_model(), blobs, tmp_path, environment={"threads": 2}, on_event=lines.append
    )
    assert (
        "resumes in another environment (threads 1 -> 2): the result is not bit-identical"
        in str(lines[0])
    )
    assert [
        (process["from_epoch"], process["from_step"], process["threads"])
        for process in progress.processes
    ] == [(1, 1, 1), (2, 1, 2)]
