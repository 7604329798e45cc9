import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event

from lsdc.training.tensorboard import Curves

STEPS = [{"epoch": 1, "step": 1, "loss": 0.9}, {"epoch": 1, "step": 2, "loss": 0.8}]
EPOCH = {"epoch": 1, "loss": 0.85, "score": 0.5}


def read(folder: Path) -> list[tuple[str, int, float]]:
    """Return the name, step and value of every point in TensorBoard's records."""
    (path,) = folder.iterdir()
    raw, at, points = path.read_bytes(), 0, []
    while at < len(raw):
        (length,) = struct.unpack_from("<Q", raw, at)
        event = Event.FromString(raw[at + 12 : at + 12 + length])
        points += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        at += length + 16  # length and checksum before the record, checksum after it
    return [(name, step, round(value, 4)) for name, step, value in points]


def test_rows_are_points_at_their_step(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "curves", 2, [])
    for row in (*STEPS, EPOCH, {"epoch": 2, "step": 1, "loss": 0.7}):
        curves.add(row)
    curves.flush()
    assert read(tmp_path / "curves") == [
        ("step/loss", 1, 0.9),
        ("step/loss", 2, 0.8),
        ("epoch/loss", 2, 0.85),
        ("epoch/score", 2, 0.5),
        ("step/loss", 3, 0.7),
    ]


def test_resumed_process_writes_saved_rows_and_no_step_twice(
    tmp_path: Path,
) -> None:
    killed = Curves(tmp_path, 2, [])
    for row in (*STEPS, {"epoch": 2, "step": 1, "loss": 0.7}):  # the last one was not saved
        killed.add(row)
    killed.flush()
    curves = Curves(tmp_path, 2, STEPS)
    curves.add({"epoch": 2, "step": 1, "loss": 0.7})
    curves.flush()
    assert [step for _, step, _ in read(tmp_path)] == [1, 2, 3]
