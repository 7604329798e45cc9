"""The recurrent net over a study: its neighbours count, padding and absent images do not."""

import pytest
import torch
from torch import Tensor

from lsdc.training.models.study_sequence import StudySequence
from lsdc.training.settings.model import Recurrent

pytestmark = pytest.mark.usefixtures("one_thread")


def build(kind: Recurrent = "gru", layers: int = 2) -> StudySequence:
    torch.manual_seed(0)
    return StudySequence(
        kind, features=5, further=3, outputs=2, width=8, layers=layers, dropout=0.2
    ).eval()


def draw() -> tuple[Tensor, Tensor]:
    """Return vectors (2, 6, 1, 8), and a mask by which the first study has 4 images."""
    vectors = torch.randn(2, 6, 1, 8, generator=torch.Generator().manual_seed(1))
    present = torch.ones(2, 6, dtype=torch.bool)
    present[0, 4:] = False
    return vectors, present


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_padding_affects_nothing(kind: Recurrent) -> None:
    model, (vectors, present) = build(kind), draw()
    found = model(vectors, present).grades
    assert found.shape == (2, 6, 2)
    other = vectors.clone()
    other[0, 4:] = torch.nan
    assert torch.equal(model(other.nan_to_num(1e3), present).grades[present], found[present])
    alone = model(vectors[:1, :4], present[:1, :4]).grades
    torch.testing.assert_close(alone[0], found[0, :4])


def test_every_image_has_the_others_in_view() -> None:
    model, (vectors, present) = build(layers=1), draw()
    vectors.requires_grad_()
    (gradient,) = torch.autograd.grad(model(vectors, present).grades[1, 2].sum(), vectors)
    assert (gradient[1].abs().sum(dim=(1, 2)) > 0).all()
    assert not gradient[0].any()


def test_order_counts() -> None:
    model, (vectors, present) = build(), draw()
    back = model(vectors[1:].flip(dims=[1]), present[1:]).grades.flip(dims=[1])
    assert not torch.allclose(back, model(vectors[1:], present[1:]).grades, atol=1e-3)
