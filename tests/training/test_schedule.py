import numpy as np
import pytest
import torch
from timm.scheduler import CosineLRScheduler

from lsdc.training.schedule import build_optimiser, build_schedule
from lsdc.training.settings.training import TrainingSettings
from tests.training.runs import SETTINGS, altered

PLAIN = altered(SETTINGS, learning_rate=0.5)
UPDATES = 20


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.ones(3))


def rates(settings: TrainingSettings, updates: int = UPDATES) -> list[float]:
    optimiser = build_optimiser([parameter()], settings)
    schedule = build_schedule(optimiser, settings, updates)
    found = []
    for _ in range(updates):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


@pytest.mark.parametrize("warmup", [0.0, 0.2])
def test_warmup_and_cosine_equal_timms_schedule(warmup: float) -> None:
    optimiser = torch.optim.AdamW([parameter()], lr=0.5)
    timm = CosineLRScheduler(
        optimiser,
        t_initial=UPDATES - round(warmup * UPDATES),
        warmup_t=round(warmup * UPDATES),
        warmup_lr_init=0.5 / 100,
        warmup_prefix=True,
        t_in_epochs=False,
    )
    expected = []
    for update in range(UPDATES):
        timm.step_update(update)
        expected.append(optimiser.param_groups[0]["lr"])
    np.testing.assert_allclose(rates(altered(PLAIN, warmup=warmup)), expected, rtol=1e-9)


def test_flat_part_is_at_the_peak() -> None:
    found = rates(altered(PLAIN, warmup=0.1, flat=0.5))
    assert found[0] == pytest.approx(0.005)
    assert found[2:13] == [0.5] * 11
    assert all(np.diff(found[12:]) < 0)
    assert found[-1] < 0.02


def test_one_cycle_rises_and_falls_once_with_inverse_momentum() -> None:
    settings = altered(PLAIN, schedule="one_cycle", warmup=0.25)
    found = rates(settings)
    peak = int(np.argmax(found))
    assert found[peak] == pytest.approx(0.5)
    assert peak == 4
    assert found[0] == pytest.approx(0.5 / 25)
    assert all(np.diff(found[: peak + 1]) > 0)
    assert all(np.diff(found[peak:]) < 0)
    optimiser = build_optimiser([parameter()], settings)
    build_schedule(optimiser, settings, UPDATES)
    assert optimiser.param_groups[0]["betas"][0] == pytest.approx(0.95)


@pytest.mark.parametrize(("updates", "warmup"), [(10, 0.1), (5, 0.2), (20, 0.05)])
def test_one_cycle_with_one_warmup_update_starts_at_its_peak(updates: int, warmup: float) -> None:
    found = rates(altered(PLAIN, schedule="one_cycle", warmup=warmup), updates)
    assert found[0] == pytest.approx(0.5)
    assert all(np.diff(found) < 0)


@pytest.mark.parametrize("optimiser", ["adamw", "radam", "ranger"])
def test_weight_decay_depends_on_the_learning_rate_only(optimiser: str) -> None:
    weights = parameter()
    weights.grad = torch.zeros(3)
    settings = altered(PLAIN, optimiser=optimiser, weight_decay=0.1)
    build_optimiser([weights], settings).step()
    torch.testing.assert_close(weights.detach(), torch.full((3,), 1 - 0.5 * 0.1))


def moved(optimiser: torch.optim.Optimizer, weights: torch.nn.Parameter, steps: int) -> list[float]:
    """Return a weight after each step on a changing gradient."""
    found = []
    for step in range(steps):
        weights.grad = torch.full((3,), 1.0 + step % 3)
        optimiser.step()
        found.append(weights[0].item())
    return found


def test_ranger_goes_half_of_the_way_back_after_every_sixth_step() -> None:
    settings = altered(PLAIN, optimiser="ranger", weight_decay=0.0, learning_rate=0.01)
    plain, looking = parameter(), parameter()
    radam = build_optimiser([plain], altered(settings, optimiser="radam"))
    own, found = moved(radam, plain, 12), moved(build_optimiser([looking], settings), looking, 12)
    assert found[:11] == pytest.approx(own[:11], abs=1e-6)
    # The slow weights start at the sixth step, where both are alike.
    assert found[11] == pytest.approx((own[5] + own[11]) / 2, abs=1e-6)


def test_ranger_resumes_from_its_state() -> None:
    settings = altered(PLAIN, optimiser="ranger", learning_rate=0.01)
    whole, left = parameter(), parameter()
    expected = moved(build_optimiser([whole], settings), whole, 20)
    first = build_optimiser([left], settings)
    moved(first, left, 8)
    second = build_optimiser([left], settings)
    second.load_state_dict(first.state_dict())
    # Its gradients go on where they stopped: 8 is 2 modulo 3.
    found = []
    for step in range(8, 20):
        left.grad = torch.full((3,), 1.0 + step % 3)
        second.step()
        found.append(left[0].item())
    assert found == expected[8:]


@pytest.mark.parametrize("optimiser", ["adamw", "radam", "ranger"])
def test_decays_of_the_means_are_set(optimiser: str) -> None:
    settings = altered(PLAIN, optimiser=optimiser, betas=(0.92, 0.99))
    assert build_optimiser([parameter()], settings).param_groups[0]["betas"] == (0.92, 0.99)
