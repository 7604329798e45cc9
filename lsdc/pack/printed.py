"""What `lsdc pack` prints: the parts of a bundle, and how to predict with it."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console

from lsdc.messages import counted
from lsdc.pack.layout import CODE, ENTRY, WHEELS
from lsdc.pack.write import Bundle, Part
from lsdc.report.fitted_tables import Column, FittedTable


@dataclass(frozen=True)
class PrintedBundle:
    """A bundle that was written."""

    bundle: Bundle

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        bundle, manifest = self.bundle, self.bundle.manifest
        left_out = {"bundle", "lsdc", "worker", "code", "files"}
        return {
            "out": str(bundle.folder),
            **manifest.model_dump(mode="json", exclude=left_out),
            "bytes": bundle.bytes_of(),
            "files": len(manifest.files),
            "wheels": bundle.wheels,
            "lacking": list(bundle.lacking),
        }

    def show(self, console: Console) -> None:
        """Print the size of each part, what the machine lacks, and the command that predicts."""
        bundle, manifest = self.bundle, self.bundle.manifest
        rows = [(each.name, each.content, bundle.bytes_of(each.folder)) for each in self._parts()]
        rows.append(("all", counted(len(manifest.files), "file"), bundle.bytes_of()))
        columns = [
            Column("part", [row[0] for row in rows], is_text=True),
            Column("content", [row[1] for row in rows], is_text=True),
            Column("size", [f"{row[2] / 1e6:.1f} MB" for row in rows]),
        ]
        ends = frozenset({len(rows) - 2})
        console.print(FittedTable(columns, title=str(bundle.folder), ends=ends))
        if bundle.lacking:
            console.print(
                f"{manifest.image} lacks these libraries, or has other versions: "
                f"{', '.join(bundle.lacking)}; pack with --wheels to bring them",
                style="yellow",
            )
        console.print("predict with it on any machine:")
        command = f"python {bundle.folder / ENTRY} TEST_FOLDER --out submission.csv"
        console.print(f"  {command}", soft_wrap=True)

    def _parts(self) -> list[Part]:
        wheels = self.bundle.wheels
        parts = [*self.bundle.parts, Part("code", f"lsdc {self.bundle.manifest.lsdc}", CODE)]
        if wheels:
            brought = ", ".join(f"{name} {version}" for name, version in wheels.items())
            parts.append(Part("libraries", brought, WHEELS))
        return parts
