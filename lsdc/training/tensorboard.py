"""Training curves as TensorBoard event files."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary


class Curves:
    """A folder's single event file: curves by step, and by epoch at each epoch's last step.

    It starts with the rows up to the checkpoint. Files of earlier processes are deleted, as they
    may contain later steps, which are repeated. Without a folder, nothing is written.
    """

    def __init__(
        self, folder: Path | None, steps_an_epoch: int, rows: Iterable[Mapping[str, float]]
    ) -> None:
        self._writer: EventsWriter | None = None
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for earlier in folder.glob("events.out.tfevents.*"):
            earlier.unlink()
        # Not SummaryWriter: on a full disk its thread dies unnoticed, and the loop waits for it.
        self._writer = EventsWriter(str(folder / "events"))
        self._steps_an_epoch = steps_an_epoch
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, float]) -> None:
        """Add a row's values to the curves; a row without a step belongs to an epoch."""
        if self._writer is None:
            return
        curves = dict(row)
        epoch, group = int(curves.pop("epoch")), "step" if "step" in row else "epoch"
        step = int(curves.pop("step", self._steps_an_epoch))
        values = [
            Summary.Value(tag=f"{group}/{name}", simple_value=value)
            for name, value in curves.items()
        ]
        at = (epoch - 1) * self._steps_an_epoch + step
        event = Event(step=at, wall_time=time.time(), summary=Summary(value=values))
        self._writer.write_event(event)

    def flush(self) -> None:
        """Flush all rows to disk."""
        if self._writer is not None:
            self._writer.flush()
