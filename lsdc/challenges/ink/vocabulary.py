"""The challenge's numbers and words: the layers of a fragment, and the metric's beta.

>>> LAYERS, BETA
(65, 0.5)
"""

from typing import Literal, get_args

LAYERS = 65  # of a fragment, from inside the papyrus (0) to the air above its surface (64)
BETA = 0.5  # of the metric, F-beta: precision counts more than recall

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
