"""Split and join the file meta information and the data set of valid files."""

import struct
from pathlib import Path

SYNTAX = 0x00020010


def take_apart(content: bytes) -> tuple[dict[int, bytes], bytes]:
    """Return the elements of the file meta information, without its length, and the data set."""
    elements, at = {}, 132
    while content[at : at + 2] == b"\x02\x00":
        group, element = struct.unpack_from("<HH", content, at)
        long = content[at + 4 : at + 6] in (b"OB", b"UN")
        (length,) = struct.unpack_from("<I" if long else "<H", content, at + (8 if long else 6))
        end = at + (12 if long else 8) + length
        elements[group << 16 | element] = content[at:end]
        at = end
    elements.pop(0x00020000, None)
    return elements, content[at:]


def put_together(elements: dict[int, bytes], data_set: bytes) -> bytes:
    """Return the content of a file."""
    group = b"".join(elements[tag] for tag in sorted(elements))
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(group))
    return bytes(128) + b"DICM" + length + group + data_set


def replace_syntax(path: Path, syntax: str) -> None:
    """Replace the transfer syntax in the file meta information and change nothing else."""
    elements, data_set = take_apart(path.read_bytes())
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    elements[SYNTAX] = struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value
    path.write_bytes(put_together(elements, data_set))
