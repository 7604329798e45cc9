"""The shared store: what several hosts hand to each other, on a path that all see or in S3.

objects/AB/DIGEST         files, named by their SHA-256
stages/STAGE/KEY.json     manifests, by the key of what was asked for
checkpoints/KEY.json      which object the resume.pt of an unfinished fold is
locks/                    where the store is a path

Each host works in a home of its own, on a local disk, since memory maps, DuckDB and torch need
local files. What it finishes it publishes, files first and manifest last, so that nobody finds what
is not whole; what it lacks it fetches by digest. The store's own secrets, if it has any, are in the
environment, where s3fs looks for them.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from pydantic import BaseModel, ConfigDict

from lsdc.errors import DamagedError, SettingsError, StoreError
from lsdc.store.files import digest_file, write_atomic, write_folder
from lsdc.store.manifest import FileRecord, Manifest
from lsdc.typed_paths import from_root

_AT_ONCE = 8  # files under way at once
_S3 = "s3://"


_Record = TypeVar("_Record", bound=BaseModel)


class Checkpoint(BaseModel):
    """Which object the last checkpoint of an unfinished fold is."""

    model_config = ConfigDict(frozen=True)

    digest: str
    bytes: int


@dataclass(frozen=True)
class RemoteStore:
    """An opened store; `open_store` makes one.

    Attributes:
        url: an absolute path, or s3://BUCKET/PREFIX.
    """

    url: str

    @property
    def path(self) -> Path | None:
        """Where it lies, if all hosts see it as a path."""
        return None if self.url.startswith(_S3) else Path(self.url)

    def find(self, stage: str, key: str) -> Manifest | None:
        """The result that was published for a key.

        Raises:
            DamagedError: what stands there is no manifest.
            StoreError: the store does not answer, or refuses.
        """
        return self._record(_stage_name(stage, key), Manifest)

    def publish(self, stage: str, key: str, manifest: Manifest, home: Path) -> None:
        """Hand a result that lies in the home to all: its files, then its manifest.

        What was found damaged is written over. The checkpoints that led to the result go.

        Raises:
            StoreError: the store does not answer, or refuses.
        """
        folder = manifest.folder(home)

        def put(record: FileRecord) -> None:
            self._put(folder / record.name, _object_name(record.digest))

        _in_parallel(put, [*manifest.files, *manifest.notes])
        self._write(_stage_name(stage, key), manifest.model_dump_json())
        self.drop_checkpoint(key)

    def fetch(self, manifest: Manifest, home: Path) -> None:
        """Bring a published result's files into the home; those that are there whole stay.

        Raises:
            FileNotFoundError: one is in the store no more.
            DamagedError: one is not what its digest says; it is not taken.
            StoreError: the store does not answer, or refuses.
        """
        folder = manifest.folder(home)

        def get(record: FileRecord) -> None:
            path = folder / record.name
            _require_inside(home, path)
            if path.is_file() and digest_file(path) == record.digest:
                return
            self._get(record.digest, path)
            # As where it was made: the stat is compared first, and an index knows files by it.
            os.utime(path, ns=(record.mtime_ns, record.mtime_ns))

        _in_parallel(get, [*manifest.notes, *manifest.files])

    def checkpoint(self, key: str) -> Checkpoint | None:
        """The last checkpoint that was published of the training that `key` names.

        Raises:
            DamagedError: what stands there says nothing of a checkpoint.
            StoreError: the store does not answer, or refuses.
        """
        return self._record(_checkpoint_name(key), Checkpoint)

    def publish_checkpoint(self, key: str, path: Path) -> Checkpoint:
        """Hand a checkpoint to all, in place of the one before; `path` may be replaced meanwhile.

        Raises:
            FileNotFoundError: there is none.
            StoreError: the store does not answer, or refuses; the one before stands.
        """
        before = self._former(key)
        with write_folder(path.parent) as folder:
            taken = Path(shutil.copyfile(path, folder / path.name))
            new = Checkpoint(digest=digest_file(taken), bytes=taken.stat().st_size)
            if new == before:
                return new
            self._put(taken, _object_name(new.digest))
        self._write(_checkpoint_name(key), new.model_dump_json())
        if before is not None:
            self._remove(_object_name(before.digest))
        return new

    def fetch_checkpoint(self, found: Checkpoint, path: Path) -> None:
        """Bring a checkpoint to `path`; raises as `fetch` does."""
        self._get(found.digest, path)

    def drop_checkpoint(self, key: str) -> None:
        """Remove a training's checkpoint."""
        former = self._former(key)
        self._remove(_checkpoint_name(key))
        if former is not None:
            self._remove(_object_name(former.digest))

    def _former(self, key: str) -> Checkpoint | None:
        with suppress(DamagedError):  # it is to be replaced, whatever it says
            return self.checkpoint(key)
        return None

    def require(self) -> None:
        """See that the store is there.

        Raises:
            StoreError: it is not.
        """
        with _telling(self.url):
            if self.path is not None:
                self.path.mkdir(parents=True, exist_ok=True)
                return
            _s3().info(self.url.removeprefix(_S3).partition("/")[0])

    def _put(self, local: Path, name: str) -> None:
        with _telling(self.url):
            if self.path is not None:
                with write_atomic(self.path / name) as temporary:
                    shutil.copyfile(local, temporary)
            else:
                _s3().put_file(str(local), f"{self.url}/{name}")  # S3 shows an object when whole

    def _get(self, digest: str, path: Path) -> None:
        """Bring an object to `path`, checked before it gets that name."""
        name = _object_name(digest)
        with write_atomic(path) as temporary:
            with _telling(self.url, absent=True):
                if self.path is not None:
                    shutil.copyfile(self.path / name, temporary)
                else:
                    _s3().get_file(f"{self.url}/{name}", str(temporary))
            if (found := digest_file(temporary)) != digest:
                raise DamagedError(
                    f"{self.url}/{name}, for {path}: its SHA-256 is {found[:16]}..., expected "
                    f"{digest[:16]}...; it was damaged in the store or on the way, and is not used"
                )

    def _record(self, name: str, kind: type[_Record]) -> _Record | None:
        text = self._read(name)
        try:
            return None if text is None else kind.model_validate_json(text)
        except ValueError as error:
            raise DamagedError(f"{self.url}/{name}: no {kind.__name__}; it is not used") from error

    def _write(self, name: str, text: str) -> None:
        with _telling(self.url):
            if self.path is not None:
                with write_atomic(self.path / name) as temporary:
                    temporary.write_text(text, encoding="utf-8")
            else:
                _s3().pipe_file(f"{self.url}/{name}", text.encode())

    def _read(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError), _telling(self.url, absent=True):
            if self.path is not None:
                return (self.path / name).read_bytes()
            return bytes(_s3().cat_file(f"{self.url}/{name}"))
        return None

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError), _telling(self.url, absent=True):
            if self.path is not None:
                (self.path / name).unlink()
            else:
                _s3().rm_file(f"{self.url}/{name}")


def open_store(url: str | None = None) -> RemoteStore | None:
    """The store asked for, else that of LSDC_STORE, else none.

    Raises:
        SettingsError: it is neither a path nor S3, has a password in its name, or needs what is
            not installed.
    """
    url = url or os.environ.get("LSDC_STORE")
    if not url:
        return None
    if "://" not in url:
        return RemoteStore(str(from_root(Path(url))))
    scheme, _, rest = url.partition("://")
    if scheme != "s3" or not rest.strip("/"):
        raise SettingsError(f"--store {scheme}://...: expected a path or s3://BUCKET/PREFIX")
    if "@" in rest:
        raise SettingsError(
            "--store s3://...@...: a password has no place in an address that is written down; "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if find_spec("s3fs") is None:
        raise SettingsError(f"--store {url}: s3fs is not installed; pip install 'lsdc[s3]'")
    return RemoteStore(_S3 + rest.strip("/"))


def _stage_name(stage: str, key: str) -> str:
    return f"stages/{stage}/{key}.json"


def _object_name(digest: str) -> str:
    return f"objects/{digest[:2]}/{digest}"


def _checkpoint_name(key: str) -> str:
    return f"checkpoints/{key}.json"


def _require_inside(home: Path, path: Path) -> None:
    """Refuse a manifest that names files beyond the home."""
    if ".." in path.parts or not path.is_relative_to(home):
        raise DamagedError(f"a manifest names {path}, beyond {home}; it is not used")


@cache
def _s3() -> Any:
    # Listings that are remembered would hide what other hosts write.
    return fsspec.filesystem("s3", use_listings_cache=False)


def _in_parallel(work: Callable[[FileRecord], None], records: Iterable[FileRecord]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(work, records):
            pass  # the first error is raised here


@contextmanager
def _telling(url: str, *, absent: bool = False) -> Iterator[None]:
    """Say of which store an error is; that a name is not there is an answer where `absent`."""
    try:
        yield
    except FileNotFoundError as error:
        if absent:
            raise
        raise StoreError(f"{url}: no such bucket or folder ({error}); make it first") from error
    except _errors(url) as error:
        raise StoreError(
            f"{url}: cannot be used ({type(error).__name__}: {error}); see that it can be reached "
            "and that this host may read and write there"
        ) from error


def _errors(url: str) -> tuple[type[Exception], ...]:
    if not url.startswith(_S3):
        return (OSError,)
    from botocore.exceptions import BotoCoreError

    return (OSError, BotoCoreError)
