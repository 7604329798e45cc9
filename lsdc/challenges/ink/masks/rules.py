"""The rules of a run, in a file of its folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lsdc.challenges.ink.masks.rule import Rule
from lsdc.errors import SettingsError
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


def mean_rule(rules: Mapping[str, Rule]) -> Rule:
    """Return the rule for the mean of several maps: the mean of the rules' numbers.

    Args:
        rules: the rule of each map, by the name of its run.

    Raises:
        SettingsError: the rules differ in more than their numbers.
    """
    (name, first), *others = rules.items()
    for other, rule in others:
        if _kind(rule) != _kind(first):
            raise SettingsError(
                f"{name}, {other}: masks by {first.describe()} and by {rule.describe()}, expected "
                "the same kind of rule; use runs with the same mask.by, mask.block_px and "
                "mask.shrink, and with mask.top in all of them or in none"
            )
    tops = [rule.top for rule in rules.values() if rule.top is not None]
    return replace(
        first,
        threshold=_mean([rule.threshold for rule in rules.values()]),
        top=_mean(tops) if tops else None,
        min_region_px=round(_mean([rule.min_region_px for rule in rules.values()])),
    )


def _kind(rule: Rule) -> tuple[object, ...]:
    return rule.by, rule.block_px, rule.shrink, rule.top is None


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
