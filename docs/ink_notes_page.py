"""Write the page of the notes on ink, docs/reference/ink-notes.md."""

import re
import sys
from collections.abc import Callable, Sequence

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.config.presets import EXPERIMENTS

_PAGE = """# The notes on ink
The 2nd place of the Vesuvius Challenge (RTX23090) kept notes in Japanese of what worked
and what did not, and published [its code][code]. Both are presets here, in
`lsdc/challenges/ink/config/`: `second.toml` has the values of the code, `notes.toml` the notes'
lists. `lsdc experiments show NAME` shows settings and figures, `lsdc run-local --experiment NAME
--folds 5` trains one.

Nobody has trained these presets on the competition's data with lsdc. All figures below are the
team's own. They do not compare with scores of lsdc, for three reasons:

- **Each fold's threshold was fitted on the fold itself.** Here it is fitted on the other folds.
- **Bands of fragment 2 touch.** A tile's width lies between them here.
- **A mean over folds is not the metric.** `scores.json` has the mean over fragments; the report
  also has that over folds.

## The winning code
The figure is the mean F0.5 of five folds, with TTA. Layers are *of a group x groups*.

| preset | backbone | layers | px | reported | note |
|---|---|---|---|---|---|
{second}

## The notes' search for layers
Figures are of an early state of the pipeline. Those without one are named in the notes, no more.

| preset | backbone | layers | px | reported | note |
|---|---|---|---|---|---|
{search}

## What worked, what did not, and what was left to do
Each preset is the one that it is based on with one change.

| preset | based on | what the notes say |
|---|---|---|
{lists}

Not built, as the engine has no such part: squeeze and excitation in the 3-D blocks (SE, effective
SE, csSE), project and excite, an auxiliary loss and a classification head, a fully connected head,
a branch of 3-D convolutions beside the 2-D ones, batch norm of the input, normalisation after the
layers are stacked, SGD, layers that are skipped or averaged, the infrared picture as a second
target, sharpening and embossing. The notes list all of them among what did not work.

## Deviations
| preset | what differs, and what is taken |
|---|---|
{deviations}

This page is generated from the presets: `python -m docs.ink_notes_page >
docs/reference/ink-notes.md`.

[code]: https://github.com/mipypf/Vesuvius-Challenge
"""

Row = Callable[[Experiment], list[str]]


def notes_page() -> str:
    """Return the page in Markdown."""
    own = {"ink-baseline", "ink-demo", "ink-small", "ink-volume"}
    loaded = [EXPERIMENTS.load(name) for name in EXPERIMENTS.packaged if name not in own]
    second = [each for each in loaded if each.name.startswith("ink-second")]
    search = [each for each in loaded if _is_search(each.name)]
    lists = [each for each in loaded if each not in (*second, *search)]
    return _PAGE.format(
        second=_lines(_figures, second),
        search=_lines(_figures, search),
        lists=_lines(_listed, lists),
        deviations=_lines(_deviation, loaded),
    )


def _is_search(name: str) -> bool:
    return re.fullmatch(r"ink-\d+x\d+(-\d+)?", name) is not None


def _lines(row: Row, experiments: Sequence[Experiment]) -> str:
    return "\n".join(f"| {' | '.join(row(each))} |" for each in experiments)


def _figures(experiment: Experiment) -> list[str]:
    tiles, reported = experiment.tiles, experiment.reported.oof
    return [
        f"`{experiment.name}`",
        f"`{experiment.model.backbone}`",
        f"{tiles.group_layers} x {tiles.groups}",
        str(tiles.size_px),
        "-" if reported is None else f"{reported:.4f}",
        experiment.note.strip(),
    ]


def _listed(experiment: Experiment) -> list[str]:
    return [f"`{experiment.name}`", f"`{experiment.based_on}`", experiment.note.strip()]


def _deviation(experiment: Experiment) -> list[str]:
    return [f"`{experiment.name}`", " ".join(experiment.deviation.split())]


if __name__ == "__main__":
    sys.stdout.write(notes_page())
