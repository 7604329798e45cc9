"""Training in batches of whole studies, with a loss by study."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lsdc.errors import ResumeLaterError, SettingsError
from lsdc.training.events import Event, StepDone
from lsdc.training.inference import predict_logits
from lsdc.training.losses.graded import AnyWorst, Finding, GradedLoss
from lsdc.training.mixing import Mixing
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import Samples, TrainingSteps
from lsdc.training.settings.augment import MixSettings
from lsdc.training.settings.loss import LossSettings
from tests.training.runs import (
    SETTINGS,
    SmallModel,
    altered,
    build_model,
    in_studies,
    jitter,
    run,
    same_weights,
)

pytestmark = pytest.mark.usefixtures("one_thread")

BY_STUDY = altered(SETTINGS, batch_by="study", batch_size=2, epochs=2)
MIX = Mixing(MixSettings(mixup=0.5, mixup_alpha=0.4, cutmix=0.3, cutmix_alpha=1.0), classes=3)


def build_loss(labels: str = "hard") -> GradedLoss:
    return GradedLoss(
        LossSettings(labels=labels),
        class_weights=(1.0, 2.0, 4.0),
        findings=[Finding((0,), 2.0), Finding((1,))],
        average="findings",
        any_worst=AnyWorst(1, 1.0),
    )


@pytest.fixture
def studies(blobs: Samples) -> Samples:
    return in_studies(blobs)


def without_chance() -> SmallModel:
    """Return a model without batch norm and dropout."""
    model = build_model()
    model.dropout.p = 0.0
    model.backbone[1] = torch.nn.Identity()
    return model


@pytest.mark.parametrize("step", [1, 2, 3])
def test_training_by_study_resumes_with_the_same_result(
    step: int, studies: Samples, tmp_path: Path
) -> None:
    settings = altered(BY_STUDY, ema_decay=0.9, accumulate=1, keep="loss")
    more: dict[str, Any] = {"settings": settings, "criterion": build_loss(), "mix": MIX}
    one, other = build_model(), build_model()
    whole = run(one, studies, tmp_path / "whole", **more)
    requests: list[Event] = []

    def listen(event: Event) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (2, step):
            requests.append(event)

    left = tmp_path / "left"
    with pytest.raises(ResumeLaterError):
        run(
            build_model(),
            studies,
            left,
            **more,
            on_event=listen,
            stop_requested=lambda: bool(requests),
        )
    resumed = run(other, studies, left, **more)
    assert same_weights(one, other)
    np.testing.assert_equal([resumed.steps, resumed.epochs], [whole.steps, whole.epochs])


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_accumulated_batches_of_studies_equal_one_large_batch(
    labels: str, studies: Samples, tmp_path: Path
) -> None:
    found = {}
    for batch_size, accumulate in ((4, 1), (2, 2), (1, 4)):  # 7 studies: a last step of 3
        settings = altered(BY_STUDY, batch_size=batch_size, accumulate=accumulate)
        folder = tmp_path / str(batch_size)
        progress = run(
            without_chance(), studies, folder, settings=settings, criterion=build_loss(labels)
        )
        found[batch_size] = progress.steps, progress.epochs
    steps, epochs = found.pop(4)
    assert len(steps) == 4
    for its_steps, its_epochs in found.values():
        for name in ("loss", "gradient_norm"):
            np.testing.assert_allclose(
                [row[name] for row in its_steps], [row[name] for row in steps], rtol=1e-3
            )
        for row, its_row in zip(epochs, its_epochs, strict=True):
            assert its_row == pytest.approx(row, rel=1e-3)


def test_losses_of_an_epoch_are_those_of_all_its_studies(studies: Samples, tmp_path: Path) -> None:
    model, loss = without_chance(), build_loss()
    settings = altered(BY_STUDY, epochs=1, learning_rate=1e-12)
    progress = run(
        model,
        studies,
        tmp_path,
        settings=settings,
        criterion=loss,
        augment=lambda sample, _: sample,
    )
    logits = predict_logits(model, studies, batch_size=5, device=torch.device("cpu"))
    assert studies.members is not None
    labels = studies.labels.map(torch.tensor)
    whole = loss(Outputs(logits), labels, torch.tensor(studies.members)).item()
    (row,) = progress.epochs
    assert row["validation_loss"] == pytest.approx(whole, rel=1e-5)
    assert row["loss"] == pytest.approx(whole, rel=1e-5)


def test_advice_on_memory_is_a_number_of_studies(studies: Samples, tmp_path: Path) -> None:
    model = build_model()

    def refuse(_: object, given: tuple[torch.Tensor, ...]) -> None:
        if len(given[0]) > 7:
            raise MemoryError

    model.register_forward_pre_hook(refuse)
    settings = altered(BY_STUDY, batch_size=7)
    steps = TrainingSteps(
        studies, jitter, batch_size=7, accumulate=1, seed=5, workers=0, batch_by="study"
    )
    ((batch,),) = steps.of_epoch(1)
    fits = max(size for size in range(7) if len(steps.first_of(batch, size).places) <= 7)
    with pytest.raises(SettingsError, match=rf"training.batch_size = 7 does .* = {fits} fits"):
        run(model, studies, tmp_path, settings=settings, criterion=build_loss())
