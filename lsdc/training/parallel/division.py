"""Division of a model's work among the processes of its training.

The backbones do nearly all of the work, so their images are divided, and nothing else: every
process then reads the features of the whole batch, with the same random numbers, and computes the
same loss as a single process would. So no loss, no mixing, no context over a study and no dropout
has to know of the processes, and gradients are right whatever the labels of a share weigh.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from timm.layers import DropPath, convert_sync_batchnorm, drop_path
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lsdc.errors import SettingsError
from lsdc.training.batch_norm import has_batch_norm
from lsdc.training.models.named_backbones import named_backbones
from lsdc.training.parallel.world import World


def synchronise_batch_norms(model: nn.Module, world: World, device: torch.device) -> None:
    """Make the batch norms of the backbones, in place, use the images of all processes.

    Raises:
        SettingsError: the device is no GPU; PyTorch synchronises batch norms on GPUs only.
    """
    if world.size == 1:
        return
    for name, backbone in list(named_backbones(model)):
        if not has_batch_norm(backbone):
            continue
        if device.type != "cuda":
            raise SettingsError(
                f"--processes {world.size}: the backbone has batch norms, which PyTorch "
                f"synchronises between processes on GPUs only, not on {device}; use "
                "--processes 1, or a model.backbone without batch norms"
            )
        model.set_submodule(name, convert_sync_batchnorm(backbone))


class Division:
    """Divides the images of the backbones of models among processes, until `end`.

    Backbones are the submodules named `backbone`. They map images (n, ...) to features (n, ...), or
    to a list of such.
    With a single process, nothing is divided.
    """

    def __init__(self, world: World, model: nn.Module, *others: nn.Module) -> None:
        self._model = self._parallel = model
        self._is_paused = False
        self._divided: list[_DividedBackbone] = []
        if world.size > 1:
            models = dict.fromkeys((model, *others))
            backbones = (backbone for each in models for _, backbone in named_backbones(each))
            self._divided = [_DividedBackbone(world, backbone) for backbone in backbones]
            # Unused: backbones while they are frozen, or in a batch without any image.
            self._parallel = DistributedDataParallel(model, find_unused_parameters=True)

    @property
    def learner(self) -> nn.Module:
        """The first model, to be called in training: its gradients are those of all processes."""
        return self._model if self._is_paused else self._parallel

    def end(self) -> None:
        """Let each model do all of its work again."""
        for backbone in self._divided:
            backbone.end()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within the block, divide nothing and do not communicate."""
        norms = [
            module
            for module in self._model.modules()
            if isinstance(module, nn.SyncBatchNorm) and module.training
        ]
        self._set_paused(norms, paused=True)
        try:
            yield
        finally:
            self._set_paused(norms, paused=False)

    def _set_paused(self, norms: list[nn.SyncBatchNorm], *, paused: bool) -> None:
        self._is_paused = paused
        for backbone in self._divided:
            backbone.is_paused = paused
        for norm in norms:  # they would wait for the other processes
            norm.train(not paused)


class _DividedBackbone:
    """Hooks that give a backbone this process's share of the images, and join the features."""

    def __init__(self, world: World, backbone: nn.Module) -> None:
        self.is_paused = False
        self._world = world
        self._images = 0  # of all processes
        self._held: set[nn.Module] = set()
        drops = [module for module in backbone.modules() if isinstance(module, DropPath)]
        self._handles = [
            backbone.register_forward_pre_hook(self._take),
            backbone.register_forward_hook(self._join),
            *(drop.register_forward_pre_hook(self._hold) for drop in drops),
            *(drop.register_forward_hook(self._drop) for drop in drops),
        ]

    def end(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _take(self, _: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self.is_paused:
            return None
        (images,) = given
        self._images = len(images)
        return (images[self._world.share(len(images))],)

    def _join(
        self, _: nn.Module, __: object, features: Tensor | list[Tensor]
    ) -> Tensor | list[Tensor] | None:
        if self.is_paused:
            return None
        if isinstance(features, Tensor):
            return self._world.whole(features, self._images)
        return [self._world.whole(each, self._images) for each in features]

    def _hold(self, module: nn.Module, _: object) -> None:
        """Keep stochastic depth from drawing for this process's images alone."""
        if module.training and not self.is_paused:
            module.training = False
            self._held.add(module)

    def _drop(self, module: DropPath, given: tuple[Tensor, ...], _: Tensor) -> Tensor | None:
        """Draw for the images of all processes, as a single process would."""
        if module not in self._held:
            return None
        self._held.remove(module)
        module.training = True
        features = given[0]
        own = self._world.share(self._images)
        rows = len(features) // (own.stop - own.start)  # some backbones cut an image into windows
        every = features.new_ones(self._images * rows, *[1] * (features.ndim - 1))
        drawn: Tensor = drop_path(every, module.drop_prob, True, module.scale_by_keep)
        return features.mul(drawn[own.start * rows : own.stop * rows])
