"""The shared store, through which hosts exchange results: a path that all see, or S3.

objects/AB/DIGEST         files, named by their SHA-256
stages/STAGE/KEY.json     manifests, by the key of the request
checkpoints/KEY.json      digest of the resume.pt of an unfinished fold
locks/                    lock files, if the store is a path

Each host works in its own home on a local disk, since memory maps, DuckDB and torch need local
files. It publishes finished results, files first and manifest last, so that nobody finds an
incomplete one, and fetches missing files by digest. s3fs reads credentials from the environment.
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

from pydantic import BaseModel, ConfigDict

from lsdc.errors import DamagedError, SettingsError, StoreError
from lsdc.store.files import digest_file, write_atomic, write_folder, write_text
from lsdc.store.manifest import FileRecord, Manifest
from lsdc.typed_paths import from_root

_AT_ONCE = 8  # parallel transfers
_S3 = "s3://"


_Record = TypeVar("_Record", bound=BaseModel)


class Checkpoint(BaseModel):
    """The object that holds the last checkpoint of an unfinished fold."""

    model_config = ConfigDict(frozen=True)

    digest: str
    bytes: int


@dataclass(frozen=True)
class RemoteStore:
    """An opened store, as returned by `open_store`.

    Attributes:
        url: absolute path, or s3://BUCKET/PREFIX.
    """

    url: str

    @property
    def path(self) -> Path | None:
        """The store's path; None for S3."""
        return None if self.url.startswith(_S3) else Path(self.url)

    def find(self, stage: str, key: str) -> Manifest | None:
        """Return the manifest published for a key; None if there is none.

        Raises:
            DamagedError: the record is not a manifest.
            StoreError: the store does not answer, or refuses.
        """
        return self._record(_stage_name(stage, key), Manifest)

    def publish(self, stage: str, key: str, manifest: Manifest, home: Path) -> None:
        """Publish a result of the home: its files, then its manifest.

        Existing objects are overwritten, damaged ones too. The result's checkpoint is removed.

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
        """Fetch a published result's files into the home; files already intact are kept.

        Raises:
            FileNotFoundError: a file is no longer in the store.
            DamagedError: a file does not match its digest; it is not used.
            StoreError: the store does not answer, or refuses.
        """
        folder = manifest.folder(home)

        def get(record: FileRecord) -> None:
            path = folder / record.name
            _require_inside(home, path)
            if path.is_file() and digest_file(path) == record.digest:
                return
            self._get(record.digest, path)
            # Restore the original mtime: intact files and index rows are recognised by it.
            os.utime(path, ns=(record.mtime_ns, record.mtime_ns))

        _in_parallel(get, [*manifest.notes, *manifest.files])

    def checkpoint(self, key: str) -> Checkpoint | None:
        """Return the last published checkpoint of the training with this key; None without one.

        Raises:
            DamagedError: the record is not one of a checkpoint.
            StoreError: the store does not answer, or refuses.
        """
        return self._record(_checkpoint_name(key), Checkpoint)

    def publish_checkpoint(self, key: str, path: Path) -> Checkpoint:
        """Publish a checkpoint, replacing the previous one; `path` may be replaced meanwhile.

        Raises:
            FileNotFoundError: there is no checkpoint at `path`.
            StoreError: the store does not answer, or refuses; the previous one is kept.
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
        """Fetch a checkpoint to `path`; raises the errors of `fetch`."""
        self._get(found.digest, path)

    def drop_checkpoint(self, key: str) -> None:
        """Remove a training's checkpoint."""
        former = self._former(key)
        self._remove(_checkpoint_name(key))
        if former is not None:
            self._remove(_object_name(former.digest))

    def _former(self, key: str) -> Checkpoint | None:
        with suppress(DamagedError):  # a damaged record is replaced anyway
            return self.checkpoint(key)
        return None

    def require(self) -> None:
        """Require that the store exists; a path is created.

        Raises:
            StoreError: it does not exist, or cannot be used.
        """
        with _explain_errors(self.url):
            if self.path is not None:
                self.path.mkdir(parents=True, exist_ok=True)
                return
            _s3().info(self.url.removeprefix(_S3).partition("/")[0])

    def _put(self, local: Path, name: str) -> None:
        with _explain_errors(self.url):
            if self.path is not None:
                with write_atomic(self.path / name) as temporary:
                    shutil.copyfile(local, temporary)
            else:
                _s3().put_file(str(local), f"{self.url}/{name}")  # S3 shows only complete objects

    def _get(self, digest: str, path: Path) -> None:
        """Fetch an object to `path`, checking its digest before it gets that name."""
        name = _object_name(digest)
        with write_atomic(path) as temporary:
            with _explain_errors(self.url, absent=True):
                if self.path is not None:
                    shutil.copyfile(self.path / name, temporary)
                else:
                    _s3().get_file(f"{self.url}/{name}", str(temporary))
            if (found := digest_file(temporary)) != digest:
                raise DamagedError(
                    f"{self.url}/{name}, for {path}: its SHA-256 is {found[:16]}..., expected "
                    f"{digest[:16]}...; it was damaged in storage or transfer, and is not used"
                )

    def _record(self, name: str, kind: type[_Record]) -> _Record | None:
        text = self._read(name)
        try:
            return None if text is None else kind.model_validate_json(text)
        except ValueError as error:
            raise DamagedError(f"{self.url}/{name}: no {kind.__name__}; it is not used") from error

    def _write(self, name: str, text: str) -> None:
        with _explain_errors(self.url):
            if self.path is not None:
                write_text(self.path / name, text)
            else:
                _s3().pipe_file(f"{self.url}/{name}", text.encode())

    def _read(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError), _explain_errors(self.url, absent=True):
            if self.path is not None:
                return (self.path / name).read_bytes()
            return bytes(_s3().cat_file(f"{self.url}/{name}"))
        return None

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError), _explain_errors(self.url, absent=True):
            if self.path is not None:
                (self.path / name).unlink()
            else:
                _s3().rm_file(f"{self.url}/{name}")


def open_store(url: str | None = None) -> RemoteStore | None:
    """Open the given store, else that of LSDC_STORE; return None without either.

    Raises:
        SettingsError: the address is neither a path nor S3 or holds a password, or s3fs is not
            installed.
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
            "--store s3://...@...: expected an address without a password, as addresses are "
            "logged; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
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
    """Require that a path named by a manifest lies inside the home."""
    if ".." in path.parts or not path.is_relative_to(home):
        raise DamagedError(f"a manifest names {path}, outside of {home}; it is not used")


@cache
def _s3() -> Any:
    import fsspec  # takes 0.2 s, and few runs share a store

    # Cached listings would hide what other hosts write.
    return fsspec.filesystem("s3", use_listings_cache=False)


def _in_parallel(work: Callable[[FileRecord], None], records: Iterable[FileRecord]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(work, records):
            pass  # the first error is raised here


@contextmanager
def _explain_errors(url: str, *, absent: bool = False) -> Iterator[None]:
    """Add the store's URL to errors; `absent` lets FileNotFoundError through."""
    try:
        yield
    except FileNotFoundError as error:
        if absent:
            raise
        raise StoreError(f"{url}: no such bucket or folder ({error}); create it first") from error
    except _errors(url) as error:
        raise StoreError(
            f"{url}: cannot be used ({type(error).__name__}: {error}); check that this host can "
            "reach it and may read and write there"
        ) from error


def _errors(url: str) -> tuple[type[Exception], ...]:
    if not url.startswith(_S3):
        return (OSError,)
    from botocore.exceptions import BotoCoreError

    return (OSError, BotoCoreError)
