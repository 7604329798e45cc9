"""The parameters of a phantom, and the plan of its fragments."""

from dataclasses import dataclass
from string import ascii_lowercase

from lsdc.challenges.ink.vocabulary import Split

SURFACE = 32.0  # the mean layer of the surface
OFF_CENTRE = 5.0
_LABELS_KINDS, _MASK_KINDS = ("P", "L", "1"), ("L", "RGB", "1")
_TEST_ROWS = 0.6  # of a training fragment's


@dataclass(frozen=True)
class Order:
    """The parameters of a phantom; the same parameters always give the same bytes.

    Attributes:
        fragments: the number of training fragments; from three on, one is turned by 90 degrees and
            the surface of one is five layers off.
        test: the number of test fragments; the first is turned.
        seed: the seed of all random draws.
        rows: rows of a training fragment, in pixels; test fragments have three fifths of them.
        columns: columns of a fragment, in pixels.
        scale: pixels of the real fragments in one pixel of the phantom, along rows and columns.
            Layers are as in the real ones.
    """

    fragments: int = 3
    test: int = 2
    seed: int = 0
    rows: int = 640
    columns: int = 576
    scale: float = 8.0


@dataclass(frozen=True)
class Part:
    """One fragment of a phantom.

    Attributes:
        number: its number among all fragments, from 0.
        name: the name of its folder.
        split: train or test.
        shape: rows and columns of its frame.
        turned: whether text and fibres are turned by 90 degrees.
        surface: the mean layer of its surface.
        labels_kind: Pillow's name of the kind of picture that has its labels.
        mask_kind: the same of its mask.
    """

    number: int
    name: str
    split: Split
    shape: tuple[int, int]
    turned: bool
    surface: float
    labels_kind: str
    mask_kind: str


def plan_parts(order: Order) -> list[Part]:
    """Plan all fragments of a phantom, training ones first."""
    return [_plan(order, number) for number in range(order.fragments + order.test)]


def _plan(order: Order, number: int) -> Part:
    training = number < order.fragments
    place = number if training else number - order.fragments
    shape = (order.rows if training else round(_TEST_ROWS * order.rows), order.columns)
    return Part(
        number=number,
        name=str(place + 1) if training else ascii_lowercase[place],
        split="train" if training else "test",
        shape=shape,
        turned=place == 1 if training else place == 0,
        surface=SURFACE + OFF_CENTRE if training and place == 2 else SURFACE,
        labels_kind=_LABELS_KINDS[number % 3],
        mask_kind=_MASK_KINDS[number % 3],
    )
