"""The rules of a run, in a file of its folder."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lsdc.challenges.ink.masks.rule import Rule
from lsdc.store.files import write_text

RULES = "rules.json"


@dataclass(frozen=True)
class Rules:
    """The rules of a run.

    Attributes:
        final: that for the test set, fitted on all folds.
        folds: that of each fold's regions, fitted on the other folds.
    """

    final: Rule
    folds: Mapping[int, Rule]

    def of(self, fold: int | None) -> Rule:
        """Return the rule of a fold's regions; None is the test set."""
        return self.final if fold is None else self.folds.get(fold, self.final)

    @classmethod
    def read(cls, folder: Path) -> "Rules":
        """Read the rules of the run in a folder."""
        stored = json.loads((folder / RULES).read_text(encoding="utf-8"))
        folds = {int(fold): Rule(**each) for fold, each in stored["folds"].items()}
        return cls(Rule(**stored["final"]), folds)

    def write(self, folder: Path) -> None:
        """Write them into the folder of a run."""
        folds = {str(fold): asdict(rule) for fold, rule in self.folds.items()}
        text = json.dumps({"final": asdict(self.final), "folds": folds}, indent=2)
        write_text(folder / RULES, text + "\n")
