"""Mutations of valid files, for all known kinds of damage; the same in every run."""

import os
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pydicom
import pydicom.data
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from tests.dicom.enhanced import plant_frames, write_enhanced

# Files of pydicom; together with the phantom's they have most transfer syntaxes.
PYDICOM_SEEDS = (
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "693_J2KI.dcm",
    "JPGExtended.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "JPEGLSNearLossless_16.dcm",
    "image_dfl.dcm",
    "rtdose.dcm",
    "rtdose_rle.dcm",
    "rtdose_1frame.dcm",
    "badVR.dcm",
    "nested_priv_SQ.dcm",
)
_DEFLATED_SEED = "image_dfl.dcm"
GIGABYTE = 2**30
# pydicom spends minutes on zeros, as it reads one empty element at a time; the deflate bomb takes
# seconds to unpack up to the memory limit.
_ZEROS, _BOMB = _SLOW = ("sparse-zeros.dcm", "bomb.dcm")
# File meta, identifiers, geometry, the image's format, the image.
_TAGS = (
    (0x0002, 0x0000),
    (0x0002, 0x0010),
    (0x0008, 0x0018),
    (0x0010, 0x0010),
    (0x0020, 0x0013),
    (0x0020, 0x0032),
    (0x0028, 0x0010),
    (0x0028, 0x0030),
    (0x0028, 0x0100),
    (0x5200, 0x9229),
    (0x5200, 0x9230),
    (0x7FE0, 0x0010),
)
_FORMAT = {
    "samples": (0x0028, 0x0002),
    "rows": (0x0028, 0x0010),
    "columns": (0x0028, 0x0011),
    "allocated": (0x0028, 0x0100),
    "stored": (0x0028, 0x0101),
}


@dataclass(frozen=True)
class Seed:
    """A valid file."""

    name: str
    content: bytes

    @property
    def pixels_at(self) -> int:
        """Where PixelData begins; the last third if it is not found."""
        for tag in (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10"):
            if (at := self.content.rfind(tag)) > 0:
                return at
        return len(self.content) * 2 // 3


def find_seeds(phantom: Path) -> list[Seed]:
    """Return one phantom file per encoding, one file with several frames, and pydicom files."""
    kinds: dict[str, Path] = {}
    for path in sorted((phantom / "train_images").rglob("*.dcm")):
        if path.stat().st_size < 1000 or path.read_bytes()[128:132] != b"DICM":
            continue
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            kinds.setdefault("monochrome1", path)
        elif (syntax := dataset.file_meta.TransferSyntaxUID) == RLELossless:
            kinds.setdefault("rle", path)
        elif syntax == ImplicitVRLittleEndian:
            kinds.setdefault("implicit", path)
        elif syntax == ExplicitVRLittleEndian:
            kinds.setdefault("explicit", path)
    assert len(kinds) == 4
    seeds = [Seed(f"phantom-{kind}", path.read_bytes()) for kind, path in sorted(kinds.items())]
    with TemporaryDirectory() as scratch:
        enhanced = write_enhanced(Path(scratch) / "enhanced", plant_frames(3))
        seeds.append(Seed("enhanced", enhanced.read_bytes()))
    folder = Path(pydicom.data.__file__).parent / "test_files"
    return seeds + [
        Seed(name.removesuffix(".dcm"), (folder / name).read_bytes()) for name in PYDICOM_SEEDS
    ]


def write_mutations(folder: Path, phantom: Path, *, every: int = 1) -> int:
    """Write mutated files in one folder per seed, and `special` ones; return their number.

    Args:
        folder: an existing folder.
        phantom: the folder of the phantom.
        every: write only every so many-th mutation, and all special files except two slow ones.
    """
    count = 0
    for seed in find_seeds(phantom):
        (folder / seed.name).mkdir()
        for number, (name, content) in enumerate(_mutate(seed)):
            if number % every == 0:
                (folder / seed.name / f"{name}.dcm").write_bytes(content)
                count += 1
    special = folder / "special"
    special.mkdir()
    _write_special(special, phantom)
    if every > 1:
        for name in _SLOW:
            (special / name).unlink()
    return count + len(list(special.iterdir()))


def _mutate(seed: Seed) -> Iterator[tuple[str, bytes]]:
    # Each kind has its own random generator, so that a new mutation changes no other kind.
    for kind in (_cut, _flip, _lengths, _formats, _zeros, _noise, _shuffle, _nest):
        yield from kind(seed, random.Random(f"{seed.name} {kind.__name__}"))


Mutations = Iterator[tuple[str, bytes]]


def _cut(seed: Seed, draw: random.Random) -> Mutations:
    """Truncate in the preamble, file meta, header and image, and just before the end."""
    size, pixels = len(seed.content), seed.pixels_at
    at = {0, 1, 127, 128, 131, 132, 133, 140, 255, 256, 257, 300, 400, 512}
    at |= {size * share // 24 for share in range(1, 24)}
    at |= {pixels + step for step in (-3, 0, 3, 4, 6, 8, 11, 12, 13, 20, 100)}
    at |= {size - 1, size - 2, size - 9, size - 100}
    for length in sorted(length for length in at if 0 <= length < size):
        yield f"cut-{length}", seed.content[:length]


def _flip(seed: Seed, draw: random.Random) -> Mutations:
    """Flip from one bit to a bit in every thirtieth byte, in header and image."""
    size, pixels = len(seed.content), seed.pixels_at
    regions = {"header": (132, pixels), "pixels": (pixels, size), "all": (0, size)}
    for region, (start, end) in regions.items():
        for flips in (1, 1, 1, 2, 4, 16, 64, max(1, (end - start) // 30)):
            content = bytearray(seed.content)
            for _ in range(flips):
                content[draw.randrange(start, end)] ^= 1 << draw.randrange(8)
            yield f"flip-{region}-{flips}-{draw.randrange(10**6)}", bytes(content)


def _places(content: bytes, tag: tuple[int, int]) -> list[int]:
    """Return the offset of a tag, in either byte order."""
    found = [content.find(struct.pack(order + "HH", *tag), 132) for order in "<>"]
    return [at for at in found if at >= 0][:1]


def _lengths(seed: Seed, draw: random.Random) -> Mutations:
    """Change the length of elements; with explicit VR it follows two letters."""
    for tag in _TAGS:
        for at in _places(seed.content, tag):
            explicit = seed.content[at + 4 : at + 6].isalpha()
            long = seed.content[at + 4 : at + 6] in (b"OB", b"OW", b"UN", b"SQ")
            kind, where = ("<H", at + 6) if explicit and not long else ("<I", at + 4 + 4 * long)
            most = 2 ** (8 * struct.calcsize(kind)) - 1
            for length in (0, 1, most // 2, most - 1, most):
                content = bytearray(seed.content)
                struct.pack_into(kind, content, where, length)
                yield f"length-{tag[0]:04x}{tag[1]:04x}-{length}", bytes(content)


def _formats(seed: Seed, draw: random.Random) -> Mutations:
    """Change the size or bit depth in the header."""
    for name, tag in _FORMAT.items():
        for at in _places(seed.content, tag):
            for value in (0, 1, 3, 32, 4096, 0xFFFF):
                content = bytearray(seed.content)
                struct.pack_into("<H", content, at + 8, value)
                yield f"format-{name}-{value}", bytes(content)


def _zeros(seed: Seed, draw: random.Random) -> Mutations:
    """Replace the end with zeros, as after a power failure of a drive."""
    size = len(seed.content)
    for zeros in (1, 10, 512, size // 4, size // 2, size - 400, size - 132, size):
        yield f"zeros-{zeros}", seed.content[: max(0, size - zeros)].ljust(size, b"\0")
    yield "longer-by-zeros", seed.content + bytes(100_000)


def _noise(seed: Seed, draw: random.Random) -> Mutations:
    """Insert runs of random bytes, and random bytes after the prefix."""
    size = len(seed.content)
    for length in (4, 16, 64, 64, 256):
        at = draw.randrange(132, max(133, size - length))
        content = seed.content[:at] + draw.randbytes(length) + seed.content[at + length :]
        yield f"noise-{length}-{at}", content
    yield "noise-all", seed.content[:132] + draw.randbytes(size - 132)
    yield "noise-pixels", seed.content[: seed.pixels_at + 12] + draw.randbytes(5000)


def _shuffle(seed: Seed, draw: random.Random) -> Mutations:
    """Remove, repeat or swap blocks, as a faulty file system does."""
    size, block = len(seed.content), 512
    for number in range(4):
        one, other = sorted(draw.randrange(132, max(133, size - block)) for _ in range(2))
        first, second = seed.content[one : one + block], seed.content[other : other + block]
        lost = seed.content[:one] + seed.content[one + block :]
        yield f"block-lost-{number}", lost
        yield f"block-doubled-{number}", seed.content[:one] + first + seed.content[one:]
        swapped = bytearray(seed.content)
        swapped[one : one + block], swapped[other : other + block] = second, first
        yield f"blocks-swapped-{number}", bytes(swapped[:size])
    yield "twice", seed.content * 2


def _nest(seed: Seed, draw: random.Random) -> Mutations:
    """Insert nested sequences before the tags of the image."""
    for at in _places(seed.content, (0x0028, 0x0002)):
        explicit = seed.content[at + 4 : at + 6].isalpha()
        for depth in (2, 30, 1000, 50_000):
            for closed in (True, False):
                middle = nested(depth, explicit=explicit, closed=closed)
                name = f"nested-{depth}-{'closed' if closed else 'open'}"
                yield name, seed.content[:at] + middle + seed.content[at:]


def nested(depth: int, *, explicit: bool = True, closed: bool = True) -> bytes:
    """Return (0021,1010), a private sequence with one item that holds the next, and so on."""
    opened = struct.pack("<HH", 0x21, 0x1010) + (b"SQ\0\0" if explicit else b"") + b"\xff" * 4
    opened += b"\xfe\xff\x00\xe0" + b"\xff" * 4
    end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return opened * depth + (end * depth if closed else b"")


def _write_special(folder: Path, phantom: Path) -> None:
    """Write entries that are not regular files, and huge files."""
    seeds = {seed.name: seed for seed in find_seeds(phantom)}
    sound, deflated = seeds["phantom-explicit"], seeds[_DEFLATED_SEED.removesuffix(".dcm")]
    (folder / "empty.dcm").touch()
    (folder / "text.dcm").write_text("This is no image.\n" * 100, encoding="ascii")
    (folder / "sound.dcm").write_bytes(sound.content)
    os.mkfifo(folder / "fifo.dcm")
    (folder / "loop.dcm").symlink_to("loop.dcm")
    (folder / "dangling.dcm").symlink_to("nowhere")
    (folder / "back").symlink_to("..")
    (folder / "denied.dcm").write_bytes(sound.content)
    (folder / "denied.dcm").chmod(0)
    (folder / _BOMB).write_bytes(_bomb(deflated, 3 * GIGABYTE))
    sparse: dict[str, Callable[[], bytes]] = {
        # Only zeros after the prefix.
        _ZEROS: lambda: sound.content[:132],
        # A valid image, then zeros.
        "sparse-tail.dcm": lambda: sound.content,
        # PixelData of nearly three gigabytes, of an image of the largest size.
        "sparse-pixels.dcm": lambda: _huge_image(sound),
        # A private element of nearly three gigabytes before the image.
        "sparse-header.dcm": lambda: _huge_header(sound),
    }
    for name, start in sparse.items():
        (folder / name).write_bytes(start())
        os.truncate(folder / name, 3 * GIGABYTE)


def _huge_image(seed: Seed) -> bytes:
    content = bytearray(seed.content[: seed.pixels_at + 12])
    for tag in (_FORMAT["rows"], _FORMAT["columns"]):
        (at,) = _places(seed.content, tag)
        struct.pack_into("<H", content, at + 8, 37_000)
    struct.pack_into("<I", content, seed.pixels_at + 8, 2 * 37_000**2)
    return bytes(content)


def _huge_header(seed: Seed) -> bytes:
    (at,) = _places(seed.content, (0x0028, 0x0002))
    element = struct.pack("<HH2s2xI", 0x21, 0x1010, b"UN", 3 * GIGABYTE - 10_000)
    return seed.content[:at] + element


def _bomb(seed: Seed, size: int) -> bytes:
    """Return a deflated file with an image of `size` zero bytes."""
    meta_end = seed.content.index(b"1.2.840.10008.1.2.1.99")
    # The group length counts from its end to the start of the deflated part.
    (length,) = struct.unpack_from("<I", seed.content, 140)
    start = 144 + length
    assert meta_end < start
    dataset = zlib.decompress(seed.content[start:], -zlib.MAX_WBITS)
    pixels = dataset.rindex(b"\xe0\x7f\x10\x00")
    head = bytearray(dataset[: pixels + 12])
    struct.pack_into("<I", head, pixels + 8, size)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = [packer.compress(bytes(head)), packer.flush(zlib.Z_FULL_FLUSH)]
    # After a full flush blocks are independent: one of them can be repeated.
    block = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = block.compress(bytes(2**26)) + block.flush(zlib.Z_FULL_FLUSH)
    parts += [zeros] * (size // 2**26)
    end = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return seed.content[:start] + b"".join([*parts, end.compress(b""), end.flush()])
