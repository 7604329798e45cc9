"""The oddities of real data that each study of a phantom gets: one each, in the first ten."""

from dataclasses import dataclass

from lsdc.challenges.hemorrhage.phantom.storage import Storage


@dataclass(frozen=True)
class Quirks:
    """The oddities of one study; the defaults describe a regular one.

    Attributes:
        storage: how numbers are stored, if not as a regular study's.
        tied: pairs of different images at one position.
        odd_size: an image of other rows and columns.
        short: an image with less PixelData than rows and columns need.
        empty: an image that shows only air.
        teeth: slices from the teeth upwards.
        finer_below: half the step in the lower third of slices.
        patient_of: the number of the training study whose patient this is, too.
    """

    storage: Storage | None = None
    tied: bool = False
    odd_size: bool = False
    short: bool = False
    empty: bool = False
    teeth: bool = False
    finer_below: bool = False
    patient_of: int | None = None


_REGULAR = Quirks()
_PLANTED = (
    Quirks(storage=Storage.OFFSET_1000),
    Quirks(storage=Storage.WRAPPED),
    Quirks(tied=True),
    Quirks(odd_size=True),
    Quirks(short=True),
    _REGULAR,
    Quirks(patient_of=5),
    Quirks(empty=True),
    Quirks(teeth=True),
    Quirks(finer_below=True),
)


def quirks_of(index: int, split: str) -> Quirks:
    """Return the oddities of the index-th study of a split; test studies are regular."""
    return _PLANTED[index] if split == "train" and index < len(_PLANTED) else _REGULAR
