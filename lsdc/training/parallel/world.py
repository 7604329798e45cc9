"""The processes that train one model together, connected by torch.distributed."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed

from lsdc.training.samples import Batch

# All processes are on one machine; without these, gloo and NCCL listen on a network.
_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
_INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


@dataclass(frozen=True)
class World:
    """The processes of a training: by default only this one.

    All of them call the same methods in the same order.

    Attributes:
        rank: the number of this process.
        size: the number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process scores, reports and writes."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return which of `count` rows are this process's; all, if there are not enough."""
        if count < self.size:
            return slice(0, count)
        start, stop = (count * each // self.size for each in (self.rank, self.rank + 1))
        return slice(start, stop)

    def whole(self, own: Tensor, count: int) -> Tensor:
        """Return the rows (count, ...) of all processes, given those of this one's `share`.

        The gradient of the own rows is that of the sum of all processes' losses, as
        DistributedDataParallel then takes the mean over the processes.
        """
        if self.size == 1 or count < self.size:
            return own
        share = self.share(count)
        rows = own.new_zeros(count, *own.shape[1:])
        rows[share] = own.detach()
        distributed.all_reduce(rows)  # each row is zero in all other processes
        if not own.requires_grad:
            return rows
        # A view: the backbone may read its own map on, whose gradient is scaled where it ends.
        own = own.view_as(own)
        own.register_hook(lambda gradient: gradient * self.size)  # type: ignore[no-untyped-call]
        return torch.cat([rows[: share.start], own, rows[share.stop :]])

    def join(self, batch: Batch) -> Batch:
        """Return the whole batch, given this process's share of its samples."""

        def whole(own: Tensor) -> Tensor:
            return self.whole(own, len(batch.places))

        slices, present = whole(batch.slices), whole(batch.present)
        return batch._replace(slices=slices, present=present, labels=batch.labels.map(whole))

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        if self.size == 1:
            return flag
        flags = torch.tensor(int(flag))
        distributed.all_reduce(flags)
        return bool(flags)

    @contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """Run the block in the first process, then in the others."""
        if not self.is_first:
            self.any(flag=False)
        yield
        if self.is_first:
            self.any(flag=False)


ALONE = World()


@contextmanager
def join_world(
    rank: int, size: int, *, meeting: Path | None, device: torch.device, wait_minutes: float
) -> Iterator[World]:
    """Connect this process with the others of its training.

    The backend is NCCL where each process has a GPU of its own, else gloo.

    Args:
        rank: the number of this process.
        size: the number of processes; 1 connects with none.
        meeting: a file that does not exist yet, the same for all processes, where they meet.
        device: the device of this process.
        wait_minutes: how long a process waits for the others before it fails.
    """
    if size == 1:
        yield ALONE
        return
    for name in _INTERFACES:
        os.environ.setdefault(name, _LOOPBACK)
    store = distributed.FileStore(str(meeting), size)  # type: ignore[attr-defined]
    timeout = timedelta(minutes=wait_minutes)
    store.set_timeout(timeout)
    store.set(f"device {rank}", str(device))
    devices = {store.get(f"device {each}") for each in range(size)}
    own_gpus = device.type == "cuda" and len(devices) == size
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if own_gpus else "gloo",
        store=store,
        rank=rank,
        world_size=size,
        timeout=timeout,
    )
    yield World(rank, size)
    # Not after an error: where another process has died, NCCL would wait for it.
    distributed.destroy_process_group()
