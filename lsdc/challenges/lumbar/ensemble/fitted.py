"""The folder of a fitted ensemble, and the record of what it was fitted on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lsdc.errors import DataError
from lsdc.store.files import write_text
from lsdc.training.trained_fold import FACTS, WEIGHTS

FOLDER = "ensemble"  # in the folder of a run
FITTED, MEMBERS = "ensemble.json", "members.parquet"  # in this folder


class FittedOn(BaseModel):
    """What an ensemble was fitted on, its fit.json.

    Attributes:
        runs: the name of each member's run.
        models: digests of the weights of its folds, by the fold's number.
        selected: whether a member chose its epochs on the folds that are scored.
    """

    model_config = ConfigDict(frozen=True)

    runs: Mapping[str, str]
    models: Mapping[str, Mapping[int, str]]
    selected: bool

    @classmethod
    def of(cls, members: Mapping[str, Sequence[Path]]) -> "FittedOn":
        """Describe the folders of all folds of each member."""
        facts = {
            name: [json.loads((folder / FACTS).read_text(encoding="utf-8")) for folder in folders]
            for name, folders in members.items()
        }
        return cls(
            runs={name: folders[0].parent.name for name, folders in members.items()},
            models={
                name: {each["fold"]: each["digests"][WEIGHTS] for each in own}
                for name, own in facts.items()
            },
            selected=any(each["selected"] for own in facts.values() for each in own),
        )

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "FittedOn":
        """Read it.

        Raises:
            DataError: the file is missing, or something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path}: cannot be read as the record of an ensemble "
                f"({str(error).splitlines()[0]}); run the same command again"
            ) from error
