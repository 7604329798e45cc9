"""Checks of data: functions from tables to the rows that violate a rule, and their registry.

A check names the tables that it needs as its parameters; without one of them it does not run. A
parameter with a default is a table that the check can do without.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import signature
from types import ModuleType
from typing import Any, TypeVar

import polars as pl

from lsdc.tables.findings import Finding, Severity

_Rule = TypeVar("_Rule", bound=Callable[..., pl.DataFrame])


@dataclass(frozen=True)
class Check:
    """A rule and how its finding is reported; see `Checks.check`."""

    rule: Callable[..., pl.DataFrame]
    title: str
    unit: str
    severity: Severity
    of: Callable[..., pl.DataFrame] | None
    advice: str

    @property
    def name(self) -> str:
        """The rule's name, which is also the finding's."""
        return self.rule.__name__

    def find(self, tables: Mapping[str, Any]) -> Finding | None:
        """Apply the rule; return None if a table that it needs is missing."""
        named = signature(self.rule).parameters.values()
        if any(each.default is each.empty and each.name not in tables for each in named):
            return None
        given = {each.name: tables[each.name] for each in named if each.name in tables}
        of = None if self.of is None else self.of(**given).height
        rows = self.rule(**given)
        return Finding(self.name, self.title, self.unit, rows, self.severity, of, self.advice)


class Checks(dict[str, Check]):
    """The checks of a challenge by name, in the order of their definition."""

    def check(
        self,
        title: str,
        unit: str,
        severity: Severity = Severity.WARNING,
        *,
        of: Callable[..., pl.DataFrame] | None = None,
        advice: str = "",
    ) -> Callable[[_Rule], _Rule]:
        """Register a function as a check, under the function's name.

        The title, unit, severity and advice are those of the check's `Finding`; `of` returns the
        rows that are checked, from the same tables, if their number is informative.

        Raises:
            ValueError: another check has the name.
        """

        def register(rule: _Rule) -> _Rule:
            new = Check(rule, title, unit, severity, of, advice)
            if self.setdefault(new.name, new) is not new:
                raise ValueError(f"{rule.__module__}: a check is already named {new.name}")
            return rule

        return register

    def find(self, modules: Iterable[ModuleType], tables: Mapping[str, Any]) -> list[Finding]:
        """Apply the modules' checks whose tables are given, in the order of their definition."""
        found = (
            each.find(tables)
            for module in modules
            for each in self.values()
            if each.rule.__module__ == module.__name__
        )
        return [finding for finding in found if finding is not None]
