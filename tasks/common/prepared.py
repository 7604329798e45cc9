"""What training begins with: the results of the stages before it."""

from dataclasses import dataclass

from lsdc.store.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class BasePrepared:
    """The results of a run's stages before training; a challenge adds its own.

    Attributes:
        index: the index of the images.
        folds: the folds.
        test: the index of the test images, which may be the same; None unless a submission is made.
    """

    index: Manifest
    folds: Manifest
    test: Manifest | None = None

    @property
    def manifests(self) -> list[Manifest]:
        """The results of the stages, each once, in pipeline order."""
        results = [each for each in vars(self).values() if isinstance(each, Manifest)]
        return [*dict.fromkeys(results)]
