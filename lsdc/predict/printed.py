"""What `lsdc predict` prints in every challenge: time, doubts, what was left out, and files."""

from collections.abc import Sequence

from rich.console import Console

from lsdc.dicom_index.quarantine import group_reasons
from lsdc.messages import counted, few
from lsdc.predict.results import Outcome, Prediction, StudyOutcome

_MOST_STUDIES, _MOST_LEFT_OUT, _MOST_REASONS = 6, 4, 3


def show_head(
    prediction: Prediction[StudyOutcome],
    run: str,
    made_by: str,
    console: Console,
    *,
    unit: str = "study",
) -> None:
    """Print what predicted how many studies, in which time.

    Args:
        prediction: the prediction.
        run: the name of the run.
        made_by: its models, such as "5 folds".
        console: where to print.
        unit: what a study is called.
    """
    studies = prediction.studies
    now = len(studies) - prediction.kept
    each = f", {prediction.seconds / now:.1f} s a {unit}" if now else ""
    if prediction.kept:
        each += f" ({counted(prediction.kept, unit)} done before)"
    console.print(
        f"{run}, {made_by}: {counted(len(studies), unit)} "
        f"in {prediction.seconds:.0f} s{each}; {len(prediction.from_prior)} by the prior alone",
        highlight=False,
    )


def show_doubts(studies: Sequence[Outcome], console: Console, *, unit: str = "study") -> None:
    """Print the doubts on the first few studies that have any; `unit` is what one is called."""
    doubtful = [study for study in studies if study.doubts]
    for study in doubtful[:_MOST_STUDIES]:
        where = f" ({study.subfolder})" if study.subfolder not in ("", study.spelled) else ""
        console.print(f"doubts on {unit} {study.spelled}{where}:", style="yellow")
        for doubt in study.doubts:
            console.print(f"  {doubt}", highlight=False, markup=False)
    if len(doubtful) > _MOST_STUDIES:
        more = counted(len(doubtful) - _MOST_STUDIES, f"further {unit}")
        console.print(f"doubts on {more}, in predictions.json", style="dim")


def show_left_out(left: Sequence[str], console: Console) -> None:
    """Print the first few series that were left out, each as STUDY/SERIES: REASON."""
    if left:
        console.print(f"{counted(len(left), 'series')} left out:", style="yellow")
        for line in left[:_MOST_LEFT_OUT]:
            console.print(f"  {line}", highlight=False, markup=False)
        if len(left) > _MOST_LEFT_OUT:
            console.print(f"  {len(left) - _MOST_LEFT_OUT} more, in predictions.json", style="dim")


def show_files(prediction: Prediction[StudyOutcome], unknown: str, console: Console) -> None:
    """Print the files that cannot be used, and those that are no slices.

    Args:
        prediction: the prediction.
        unknown: why rows of a sample submission have the prior, "TABLE: no such study ...".
        console: where to print.
    """
    for count, reason, path in group_reasons(prediction.quarantine).head(_MOST_REASONS).iter_rows():
        console.print(
            f"{counted(count, 'file')} cannot be used: {reason} ({path})",
            style="yellow",
            highlight=False,
            markup=False,
        )
    if len(prediction.others):
        kinds = [f"{count} {what}" for count, what, _ in prediction.others.iter_rows()]
        console.print(f"other files, not read: {few(kinds)}", style="dim", highlight=False)
    if prediction.unknown_rows:
        rows = counted(prediction.unknown_rows, "row")
        line = f"{rows} of {unknown}, so the prior"
        console.print(line, style="yellow", highlight=False)


def show_results(prediction: Prediction[StudyOutcome], console: Console) -> None:
    """Print the paths of the results."""
    for path in prediction.files:
        console.print(path, soft_wrap=True, highlight=False)
