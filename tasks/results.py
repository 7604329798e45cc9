"""Results: what tasks and flows hand on, as plain JSON, and nothing else, whoever wrote it.

A record in Prefect's result storage says itself how it is to be read, and Prefect does as it says:
a pickle runs code, and so does JSON, whose `__class__` and `object_decoder` may be any function.
Whoever can write to the storage could run code in every process that looks for a result. So these
ways to read are closed, in every process that imports this, and records of any kind but ours count
as absent: the task runs.
"""

from typing import Any, NoReturn

from prefect.exceptions import SerializationError
from prefect.serializers import (
    CompressedSerializer,
    JSONSerializer,
    PickleSerializer,
    Serializer,
)
from pydantic import BaseModel, Field

from lsdc.store.catalog import CatalogRecord
from lsdc.store.manifest import Manifest


class _Kept(BaseModel):
    """One of these: a stage's result, a catalog's, or what a failure said."""

    manifest: Manifest | None = None
    catalog: CatalogRecord | None = None
    error: str | None = None


class ResultSerializer(Serializer):
    """Writes and reads the results of this project; calls nothing that a record names."""

    type: str = Field(default="lsdc", frozen=True)

    def dumps(self, obj: Any) -> bytes:
        """The result as JSON.

        Raises:
            TypeError: it is none that a task of this project may hand on.
        """
        match obj:
            case Manifest():
                kept = _Kept(manifest=obj)
            case CatalogRecord():
                kept = _Kept(catalog=obj)
            case None:  # of a flow run that was cancelled
                kept = _Kept()
            case BaseException():
                kept = _Kept(error=f"{type(obj).__name__}: {obj}")
            case _:
                raise TypeError(f"expected a manifest as a result, got a {type(obj).__name__}")
        return kept.model_dump_json(exclude_none=True).encode()

    def loads(self, blob: bytes) -> Any:
        """The result again; a failure as what it said, None of what had none."""
        kept = _Kept.model_validate_json(blob)
        return kept.manifest or kept.catalog or kept.error


def _refuse(self: Serializer, blob: bytes) -> NoReturn:  # noqa: ARG001
    raise SerializationError(
        f"a result written as {self.type!r} is not read, since it could run code; results of this "
        "project are written as 'lsdc'"
    )


for _each in (CompressedSerializer, JSONSerializer, PickleSerializer):
    _each.loads = _refuse  # type: ignore[method-assign]
