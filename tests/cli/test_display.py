import io

from rich.console import Console

from lsdc.cli.display import Display
from lsdc.cli.results import scores_table
from tasks.progress import Progress, listening, tell, tell_line, tell_steps


def plain_lines(*told: Progress) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    with Display(console) as display, listening(display):
        for progress in told:
            tell(progress)
    output: str = console.file.getvalue()  # type: ignore[attr-defined]
    return output.splitlines()


def test_plain_lines_say_ends_and_epochs_and_nothing_between() -> None:
    lines = plain_lines(
        Progress("index train", state="Running"),
        Progress("index train", done=5, total=10),
        Progress("index train", state="Completed"),
        Progress("crops train", state="Cached"),
        Progress("fold 0", state="Running"),
        Progress("fold 0", facts={"epoch": 1, "epochs": 2, "step": 3, "steps": 9, "loss": 1.0}),
        Progress("fold 0", facts={"epoch": 1, "epochs": 2, "loss": 0.9, "score": 0.8}),
        Progress("fold 0", state="Failed"),
    )
    assert lines[0].startswith("✓ index train: 0.")
    assert lines[1] == "✓ crops train: unchanged, kept"
    assert lines[2].startswith("  fold 0: epoch 1/2, loss 0.900, score 0.800")
    assert lines[3].startswith("✗ fold 0: failed after")
    assert len(lines) == 4


def test_live_table_shows_all_rows_and_counts_the_ended() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    display = Display(console)
    with display, listening(display):
        tell(Progress("index train", state="Running"))
        tell_steps("index train")(512, 1024)
        tell(Progress("folds", state="Completed"))
        tell_line("fold 0")({"epoch": 1, "epochs": 4, "loss": 0.5})
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "512 of 1,024" in text
    assert "epoch 1/4, loss 0.500" in text
    assert display.ended == 1


def test_results_mark_what_is_partial_or_selected_and_leave_no_gap_for_nothing() -> None:
    part = {"score": 0.5, "spinal": None, "foraminal": 0.4, "subarticular": 0.5}
    part |= {"any_severe_spinal": 0.6}
    scores = {**part, "weighted_prior": part, "folds": {"0": part}, "partial": True}
    console = Console(file=io.StringIO(), width=100)
    console.print(scores_table(scores | {"selected": True}, "demo"))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "partial · selected" in text
    assert "fold 0" in text
    assert "0.6000" in text
    assert " - " in text


def test_task_runs_without_a_row_count_as_ended() -> None:
    display = Display(Console(file=io.StringIO()))
    for progress in (
        Progress("index train", state="Running"),
        Progress("index train", done=5, total=10, task_runs=1),
        Progress("index train", done=10, total=10, task_runs=1),
        Progress("index train", state="Completed"),
    ):
        display(progress)
    assert display.ended == 3
