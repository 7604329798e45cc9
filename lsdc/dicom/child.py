"""The child process that reads files: `python -P -m lsdc.dicom.child WORK READER SECONDS`.

It takes batches of paths on stdin and answers each file with a frame on stdout, in order. It ends
at the end of stdin, and may die at any file: that is what it is for.
"""

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import astuple
from typing import Any, TextIO

from lsdc.dicom.frames import pack, read_paths
from lsdc.dicom.gate import DeclinedError, OpenFile, RefusedError, open_dicom

# Address space. A header that promises gigabytes becomes a MemoryError, not a machine that swaps.
MEMORY_LIMIT_BYTES = 2**30

Answer = tuple[dict[str, Any], memoryview | bytes]


def main() -> None:
    """Serve until stdin ends."""
    work, reader, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    answers = os.dup(sys.stdout.fileno())
    _silence(sys.stdout)
    read = _reading(work, reader)
    importlib.import_module(reader)
    _limit_memory()
    _silence(sys.stderr)
    _write(answers, pack({"ready": True}))
    while paths := read_paths(sys.stdin.buffer):
        for path in paths:
            # The system ends a file that takes too long even where the supervisor is gone and a
            # decoder holds the interpreter's lock.
            signal.setitimer(signal.ITIMER_REAL, seconds)
            head, body = _read(read, path)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _write(answers, pack(head, body))
            if "failed" in head and reader == "dicomsdl":
                return  # after an exception its heap may be damaged, and die on another file


def _read(read: Callable[[OpenFile], Answer], path: bytes) -> Answer:
    try:
        with open_dicom(path) as file:
            return read(file)
    except RefusedError as error:
        return {"refused": str(error)}, b""
    except DeclinedError as error:
        return {"declined": str(error)}, b""
    except Exception as error:  # noqa: BLE001  # a hostile file may raise anything
        return {"failed": _without_values(error)}, b""


def _reading(work: str, reader: str) -> Callable[[OpenFile], Answer]:
    """How to answer one file; imports no more than that takes."""
    if work == "headers":
        from lsdc.dicom import headers

        read_header = getattr(headers, f"read_with_{reader}")
        return lambda file: ({"header": astuple(read_header(file))}, b"")

    from lsdc.dicom import pixels

    read_image = getattr(pixels, f"read_with_{reader}")

    def answer(file: OpenFile) -> Answer:
        image = read_image(file)
        return {"shape": image.shape}, memoryview(image).cast("B")

    return answer


def _without_values(error: Exception) -> str:
    """What was raised and where, not its text: that may quote a value from the file."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].name}" if frames else type(error).__name__


def _silence(stream: TextIO) -> None:
    """Let nothing out: libraries print what they please, values of the file included."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)


def _limit_memory() -> None:
    if sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or hard > MEMORY_LIMIT_BYTES:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, hard))


def _write(descriptor: int, parts: list[bytes | memoryview]) -> None:
    for part in parts:
        left = memoryview(part)
        while left:
            left = left[os.write(descriptor, left) :]


if __name__ == "__main__":
    main()
