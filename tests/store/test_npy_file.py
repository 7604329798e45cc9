import os
from pathlib import Path

import numpy as np
import pytest

from lsdc.store.npy_file import DirectWriter, append_samples, join_files


def append(path: Path, samples: np.ndarray, most: int) -> None:
    with append_samples(path, most, samples.shape[1:], samples.dtype) as append_one:
        for sample in samples:
            append_one(sample)


@pytest.mark.parametrize("count", [0, 1, 9, 11])
def test_a_file_has_as_many_samples_as_were_appended(count: int, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(0, 999, (count, 3, 5), np.uint16)
    append(tmp_path / "some.npy", samples, most=11)
    np.testing.assert_array_equal(np.load(tmp_path / "some.npy"), samples)
    np.save(tmp_path / "saved.npy", samples)
    assert (tmp_path / "some.npy").read_bytes() == (tmp_path / "saved.npy").read_bytes()


@pytest.mark.parametrize("shape", [(3, 3, 1300, 1300), (17, 3, 512, 512), (300, 3, 99, 101)])
def test_samples_of_any_size_are_appended_whole(shape: tuple[int, ...], tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    append(tmp_path / "some.npy", samples, most=shape[0])
    np.save(tmp_path / "saved.npy", samples)
    assert (tmp_path / "some.npy").read_bytes() == (tmp_path / "saved.npy").read_bytes()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only Linux has files in memory")
def test_a_file_that_takes_no_direct_writes_is_written_all_the_same() -> None:
    data = np.random.default_rng(0).bytes(10_000_000)
    with os.fdopen(os.memfd_create("refuses"), "r+b", buffering=0) as file:
        with DirectWriter(file) as writer:
            writer.write(memoryview(data)[:1234])
            writer.write(memoryview(data)[1234:])
        file.seek(0)
        assert file.read() == data


def test_files_with_fewer_samples_than_expected_are_joined(tmp_path: Path) -> None:
    samples = np.arange(60, dtype=np.uint8).reshape(10, 2, 3)
    append(tmp_path / "0.npy", samples[:4], most=7)
    append(tmp_path / "1.npy", samples[4:], most=6)
    join_files([tmp_path / "0.npy", tmp_path / "1.npy"], tmp_path / "all.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "all.npy"), samples)


def test_nothing_is_left_of_an_interrupted_file(tmp_path: Path) -> None:
    def write() -> None:
        with append_samples(tmp_path / "some.npy", 5, (2, 2), np.uint8) as append_one:
            append_one(np.zeros((2, 2), np.uint8))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        write()
    assert list(tmp_path.iterdir()) == []
