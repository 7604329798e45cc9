"""What `lsdc pack` prints: the parts of a bundle, and how to predict with it."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console

from lsdc.challenges.lumbar.pack.layout import CODE, ENSEMBLE, ENTRY, MODELS, POINTS, WHEELS
from lsdc.challenges.lumbar.pack.write import Bundle
from lsdc.messages import counted
from lsdc.report.fitted_tables import Column, FittedTable


@dataclass(frozen=True)
class PrintedBundle:
    """A bundle that was written."""

    bundle: Bundle

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        bundle, manifest = self.bundle, self.bundle.manifest
        return {
            "out": str(bundle.folder),
            "runs": [run.model_dump() for run in manifest.runs],
            "ensemble": manifest.ensemble and manifest.ensemble.model_dump(),
            "bytes": bundle.bytes_of(),
            "files": len(manifest.files),
            "image": manifest.image,
            "python": manifest.python,
            "libraries": manifest.libraries,
            "wheels": bundle.wheels,
            "lacking": list(bundle.lacking),
        }

    def show(self, console: Console) -> None:
        """Print the size of each part, what the machine lacks, and the command that predicts."""
        bundle, manifest = self.bundle, self.bundle.manifest
        rows = [(name, what, bundle.bytes_of(folder)) for name, what, folder in self._parts()]
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

    def _parts(self) -> list[tuple[str, str, str]]:
        """Return the name, the content and the folder of each part."""
        manifest, wheels = self.bundle.manifest, self.bundle.wheels
        parts = [
            (run.name, counted(len(run.folds), "fold"), f"{MODELS}/{run.name}")
            for run in manifest.runs
        ]
        if manifest.ensemble:
            parts.append((manifest.ensemble.name, "ensemble of these", ENSEMBLE))
        parts.append(("level points", f"of {counted(len(manifest.runs), 'run')}", POINTS))
        parts.append(("code", f"lsdc {manifest.lsdc}", CODE))
        if wheels:
            brought = ", ".join(f"{name} {version}" for name, version in wheels.items())
            parts.append(("libraries", brought, WHEELS))
        return parts
