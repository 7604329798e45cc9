"""Write the page of the head CT notes, docs/reference/ich-notes.md."""

import sys

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.config.presets import EXPERIMENTS

_PAGE = """# The notes on head CT
The author of [a repository of notes and notebooks][notes] took part in RSNA 2019 and wrote down
each experiment. Each of them is a preset here, `ich-exp00` to `ich-exp400`, in
`lsdc/challenges/hemorrhage/config/log.toml`. `lsdc experiments show NAME` shows its settings and
figures, `lsdc run-local --experiment NAME` trains it.

Nobody has trained these presets on the competition's data with lsdc. All figures below are the
notes' own. They do not compare with scores of lsdc, for three reasons:

- **Their folds hold out images, not patients.** Slices of a patient are on both sides, so a
  validation loss is too good. The presets hold out patients; `--set split.by=image` holds out
  images, as the notes did, and marks the score `leaky`.
- **The best epoch was chosen by the fold that is scored.** The presets do so, too (`training.keep
  = "loss"`), and their scores are marked `selected`.
- **A loss is not always the metric.** Most were trained by the plain binary cross-entropy of the
  six labels; in the metric, *any* counts twice. A loss with weight 2 as a mean over six labels is
  7/6 of the metric.

## Figures
*Training*, *validation* and *accuracy* are those of the best epoch; accuracy is the share of
right labels at one half, and predicting 0 everywhere has 0.943. *Board* is the public leaderboard
of stage 1, *TTA* the same with test-time augmentation. A dash means that the notes give no
figure. A preset starts from the weights of the one in its last column, on the same fold: train
that one first. Fold 6 is one of ten: `--folds 10 --only-fold 6`.

| preset | backbone | px | fold | training | validation | accuracy | board | TTA | starts from |
|---|---|---|---|---|---|---|---|---|---|
{figures}

## Deviations
Text and notebooks of the notes differ in places. Where a figure was reported, the notebook is
taken, as it made the figure.

In all presets, the optimiser differs in two details from the notebooks' Ranger: it decays all
weights, theirs spared batch normalisation, and its epsilon is torch's 1e-8, theirs was 1e-6.

| preset | what differs, and what is taken |
|---|---|
{deviations}

This page is generated from the presets: `python -m docs.notes_page >
docs/reference/ich-notes.md`.

[notes]: https://github.com/DrHB/Intracranial-Hemorrhage-Detection
"""


def notes_page() -> str:
    """Return the page in Markdown."""
    names = [name for name in EXPERIMENTS.packaged if name.startswith("ich-exp")]
    loaded = [EXPERIMENTS.load(name) for name in names]
    deviations = (f"| `{each.name}` | {_one_line(each.deviation)} |" for each in loaded)
    return _PAGE.format(figures="\n".join(map(_figures, loaded)), deviations="\n".join(deviations))


def _figures(experiment: Experiment) -> str:
    """Return the row of an experiment; figures that only the notes' table has stand behind."""
    reported = experiment.reported
    fold = next(iter({**reported.losses, **reported.training_losses}), None)
    boards = [each.leaderboard for each in (reported, *reported.again) if each.leaderboard]
    cells = [
        f"`{experiment.name}`",
        f"`{experiment.model.backbone}`",
        str(experiment.slices.size_px),
        "-" if fold is None else str(fold),
        *(
            f"{of[fold]:.6f}" if fold in of else "-"
            for of in (reported.training_losses, reported.losses, reported.accuracies)
        ),
        " or ".join(f"{board:.3f}" for board in boards) or "-",
        f"{reported.leaderboard_views:.3f}" if reported.leaderboard_views else "-",
        f"`{experiment.needs.weights}`" if experiment.needs.weights else "",
    ]
    return f"| {' | '.join(cells)} |"


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.stdout.write(notes_page())
