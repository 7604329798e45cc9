from typing import Any, get_args

import pytest
import torch

from lsdc.training.models.pooling import GeneralisedMean, PoolSlices
from lsdc.training.settings.model import SlicePool

# 2 samples of 4 slices of 3 features; the second sample has none of the own slices.
SEQUENCE = torch.arange(24.0).reshape(2, 4, 3)
SEEN = torch.tensor([[True, False, True, True], [True, False, False, False]])
OWN = torch.tensor([False, True, True, True])
KINDS: tuple[SlicePool, ...] = get_args(SlicePool)


def pool(kind: SlicePool) -> PoolSlices:
    torch.manual_seed(0)
    return PoolSlices(kind, 3, rnn_width=1, own=OWN)


def test_mean_ignores_absent_slices() -> None:
    expected = torch.stack([SEQUENCE[0, [0, 2, 3]].mean(0), SEQUENCE[1, 0]])
    torch.testing.assert_close(pool("mean")(SEQUENCE, SEEN), expected)


def test_range_mean_uses_own_slices_or_the_absent_ones_if_none_is_present() -> None:
    expected = torch.stack([SEQUENCE[0, [2, 3]].mean(0), SEQUENCE[1, 1:].mean(0)])
    torch.testing.assert_close(pool("range_mean")(SEQUENCE, SEEN), expected)


def test_maximum_ignores_absent_slices() -> None:
    falling = -SEQUENCE
    seen = SEEN.clone()
    seen[0, 0] = False
    expected = torch.stack([falling[0, 2], falling[1, 0]])
    torch.testing.assert_close(pool("max")(falling, seen), expected)
    both = torch.cat([pool("mean")(falling, seen), expected], dim=-1)
    torch.testing.assert_close(pool("mean_max")(falling, seen), both)


def test_last_takes_the_last_state_of_each_direction() -> None:
    torch.testing.assert_close(pool("last")(SEQUENCE, SEEN), torch.tensor([[9.0, 1], [21, 13]]))


def test_attention_weighs_slices_by_their_scores() -> None:
    attend = pool("attention")
    weight = torch.tensor([0.3, -0.2, 0.1])
    with torch.no_grad():
        attend.score.weight[:] = weight
    shares = (SEQUENCE[0, [0, 2, 3]] @ weight).softmax(0)
    expected = shares @ SEQUENCE[0, [0, 2, 3]]
    torch.testing.assert_close(attend(SEQUENCE, SEEN)[0], expected)
    torch.testing.assert_close(attend(SEQUENCE, SEEN)[1], SEQUENCE[1, 0])


# A recurrent network has read the absent slices before "last" takes its states.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "last"])
def test_absent_slices_have_no_effect(kind: SlicePool) -> None:
    other = SEQUENCE.masked_fill(~SEEN.unsqueeze(-1), 1e6)
    some = pool(kind)
    torch.testing.assert_close(some(other, SEEN)[0], some(SEQUENCE, SEEN)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_pooled_size_is_right_even_without_slices(kind: SlicePool) -> None:
    some = pool(kind)
    pooled = some(SEQUENCE, torch.zeros_like(SEEN))
    assert pooled.shape == (2, some.features)
    assert pooled.isfinite().all()


def test_unknown_kind_is_refused_when_the_model_is_built() -> None:
    unknown: Any = "median"
    with pytest.raises(AssertionError, match="median"):
        pool(unknown)


def test_generalised_mean_lies_between_mean_and_maximum() -> None:
    torch.manual_seed(0)
    features = torch.rand(2, 5, 4, 4)
    gem = GeneralisedMean()
    by_hand = (features**3).mean(dim=(2, 3), keepdim=True) ** (1 / 3)
    torch.testing.assert_close(gem(features), by_hand)
    with torch.no_grad():
        gem.power.fill_(1.0)
    torch.testing.assert_close(gem(features), features.mean(dim=(2, 3), keepdim=True))
    with torch.no_grad():
        gem.power.fill_(200.0)
    torch.testing.assert_close(
        gem(features), features.amax(dim=(2, 3), keepdim=True), rtol=0.05, atol=0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_attention_has_the_weights_of_the_pooled_slices(kind: SlicePool) -> None:
    some = pool(kind)
    weights = some.attention(SEQUENCE, SEEN)
    if "attention" not in kind:
        assert weights is None
        return
    assert weights is not None
    torch.testing.assert_close((weights.unsqueeze(-1) * SEQUENCE).sum(dim=1), some(SEQUENCE, SEEN))
    # The second sample has none of the own slices: "view_attention" then weights the absent ones.
    own = OWN.expand(2, 4) if kind == "view_attention" else torch.ones(2, 4, dtype=torch.bool)
    counted = torch.where((SEEN & own).any(dim=1, keepdim=True), SEEN & own, own)
    assert (weights > 0).equal(counted)
