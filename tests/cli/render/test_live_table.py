import io

import pytest
from rich.console import Console

from lsdc.cli.render.live_table import Display
from lsdc.cli.render.run_summary import scores_table
from lsdc.experiments.metric import Metric
from lsdc.training.events import EpochDone, NetEpochDone, Resumed, StepDone
from tasks.progress import Progress, event_callback, listening, report_progress, steps_callback
from tasks.status.rows import Row, Rows


def step_done(epoch: int, epochs: int, step: int, steps: int, *, loss: float) -> StepDone:
    return StepDone(
        epoch=epoch,
        epochs=epochs,
        step=step,
        steps=steps,
        loss=loss,
        learning_rate=0.1,
        gradient_norm=1.0,
    )


def epoch_done(epoch: int, epochs: int, *, loss: float) -> EpochDone:
    return EpochDone(epoch=epoch, epochs=epochs, loss=loss, validation_loss=0.7, score=0.8)


def net_epoch_done(net: int, nets: int, epoch: int, *, loss: float) -> NetEpochDone:
    return NetEpochDone(
        fold=0,
        views="sagittal",
        net=net,
        nets=nets,
        epoch=epoch,
        epochs=12,
        loss=loss,
    )


def plain_lines(*told: Progress) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    with Display(console) as display, listening(display):
        for progress in told:
            report_progress(progress)
    output: str = console.file.getvalue()  # type: ignore[attr-defined]
    return output.splitlines()


def test_plain_lines_have_starts_ends_and_epochs_only() -> None:
    lines = plain_lines(
        Progress("index train", state="Running"),
        Progress("index train", done=5, total=10),
        Progress("index train", state="Completed"),
        Progress("crops train", state="Cached"),
        Progress("fold 0", state="Running"),
        Progress("fold 0", event=step_done(1, 2, 3, 9, loss=1.0)),
        Progress("fold 0", event=epoch_done(1, 2, loss=0.9)),
        Progress("fold 0", state="Failed"),
    )
    assert lines[0] == "  index train: starting"
    assert lines[1].startswith("✓ index train: 0.")
    assert lines[2] == "✓ crops train: unchanged, kept"
    assert lines[3] == "  fold 0: starting"
    assert lines[4].startswith("  fold 0: epoch 1/2, loss 0.900, score 0.800")
    assert lines[5].startswith("✗ fold 0: failed after")
    assert len(lines) == 6


def test_task_cancelled_by_an_interrupt_is_shown_once_and_not_as_failed() -> None:
    lines = plain_lines(
        Progress("folds", state="Completed"),
        Progress("fold 0", state="Running"),
        Progress("fold 0", state="Cancelled"),
        Progress("fold 0", state="Cancelled"),
        Progress("crops train 2 of 4", state="Cancelled"),
    )
    assert [line.partition(":")[0] for line in lines] == ["✓ folds", "  fold 0", "- fold 0"]
    assert "cancelled after" in lines[2]


def test_live_table_shows_all_rows_and_counts_ended_ones() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    display = Display(console)
    with display, listening(display):
        report_progress(Progress("index train", state="Running"))
        steps_callback("index train")(512, 1024)
        report_progress(Progress("folds", state="Completed"))
        event_callback("fold 0")(epoch_done(1, 4, loss=0.5))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "512 of 1,024" in text
    assert "epoch 1/4, loss 0.500" in text
    assert display.progress.ended == 1


def test_scores_are_marked_partial_or_selected_only_if_they_are() -> None:
    part = {"score": 0.5, "spinal": None, "foraminal": 0.4, "subarticular": 0.5}
    part |= {"any_severe_spinal": 0.6}
    scores = {**part, "weighted_prior": part, "folds": {"0": part}, "partial": True}
    console = Console(file=io.StringIO(), width=100)
    console.print(scores_table(scores | {"selected": True}, "demo", Metric()))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "partial · selected" in text
    assert "fold 0" in text
    assert "0.6000" in text
    assert " - " in text


def terminal(width: int, height: int) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=True)


def lines_shown(display: Display) -> list[str]:
    paper = Console(file=io.StringIO(), width=display.console.width)
    paper.print(display.shown(live=True))
    output: str = paper.file.getvalue()  # type: ignore[attr-defined]
    return output.splitlines()


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def trained(row: Row, clock: Clock, *, steps: range, seconds: float, of: int = 10) -> None:
    """Report steps of a training of ten epochs, each of so many seconds."""
    for step in steps:
        clock.now += seconds
        epoch, inside = divmod(step - 1, of)
        event = step_done(epoch + 1, 10, inside + 1, of, loss=0.5)
        row.update(Progress(row.name, event=event))


@pytest.mark.parametrize("first", [1, 41])  # a new training, and a resumed one
def test_time_left_ignores_the_slow_first_step(first: int) -> None:
    clock = Clock()
    row = Row("fold 0", clock)
    clock.now += 40
    if first > 1:
        row.update(Progress("fold 0", event=Resumed(past=({},) * 4)))
        assert row.words == "resumes from epoch 5"
    trained(row, clock, steps=range(first, first + 1), seconds=25)  # the first step: slow
    assert row.seconds_left() is None
    trained(row, clock, steps=range(first + 1, first + 3), seconds=2)
    assert row.seconds_left() == pytest.approx(2 * (100 - first - 2))
    trained(row, clock, steps=range(first + 3, 100), seconds=2)
    assert row.seconds_left() == pytest.approx(2)


def test_first_line_has_the_time_left_for_all_folds() -> None:
    clock = Clock()
    display = Display(terminal(80, 24), ["fold 0", "fold 1", "fold 2", "oof"], clock)
    display(Progress("fold 0", state="Running"))
    assert "left" not in lines_shown(display)[0]
    trained(display.rows["fold 0"], clock, steps=range(1, 52), seconds=2)
    # 98 s of this fold, and two more of 200 s.
    assert "8 min 18 s left for the folds" in lines_shown(display)[0]
    trained(display.rows["fold 0"], clock, steps=range(52, 101), seconds=2)
    display(Progress("fold 0", state="Completed"))
    display(Progress("fold 1", state="Running"))
    assert "6 min 40 s left for the folds" in lines_shown(display)[0]
    clock.now += 50
    display(Progress("fold 2", state="Running"))
    assert "3 min 20 s left for the folds" in lines_shown(display)[0]
    for fold in (1, 2):
        display(Progress(f"fold {fold}", state="Completed"))
    assert "left" not in lines_shown(display)[0]


def test_no_time_left_is_shown_in_the_first_seconds() -> None:
    clock = Clock()
    row = Row("fold 0", clock)
    trained(row, clock, steps=range(1, 6), seconds=0.1)
    assert row.seconds_left() is None


def test_task_with_a_complete_count_is_finishing_and_never_has_0_s_left() -> None:
    clock = Clock()
    display = Display(terminal(80, 24), ["fold 0"], clock)
    display(Progress("fold 0", state="Running"))
    trained(display.rows["fold 0"], clock, steps=range(1, 101), seconds=2)
    clock.now += 100
    said = "".join(lines_shown(display))
    assert "finishing" in said
    assert " left" not in said


def test_nets_of_coordinates_are_counted_and_their_bar_never_shrinks() -> None:
    clock = Clock()
    row = Row("coordinates train", clock)
    shares = []
    for net in range(1, 9):
        for epoch in range(1, 13):
            clock.now += 1
            event = net_epoch_done(net, 8, epoch, loss=0.25)
            row.update(Progress(row.name, event=event))
            shares.append(row.share)
    assert row.parts == ["net 8 of 8", "epoch 12/12", "loss 0.250"]
    assert shares == sorted(shares)
    assert (shares[-1], len({*shares})) == (1, 96)


@pytest.mark.parametrize("width", [40, 50, 60, 61, 70, 79, 80, 100, 200])
@pytest.mark.parametrize(("folds", "nets"), [(1, 1), (9, 10)])
def test_no_line_wraps_and_no_number_is_cut_at_any_width(width: int, folds: int, nets: int) -> None:
    console, clock = terminal(width, 24), Clock()
    names = [f"fold {fold}" for fold in range(folds)]
    display = Display(console, ["index train", "coordinates train", *names], clock)
    display(Progress("index train", state="Completed"))
    event = net_epoch_done(nets, 10, 12, loss=12345.678)
    display(Progress("coordinates train", event=event))
    for name in names:
        display(Progress(name, state="Running"))
        trained(display.rows[name], clock, steps=range(1, 9), seconds=700)
    display(Progress(names[0], state="Failed"))
    lines = lines_shown(display)
    assert len(lines) == 3 + folds
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    assert lines[0].startswith(f"stage 3 of {2 + folds}")
    if width >= 80:
        assert f"0 of {folds} {'fold' if folds == 1 else 'folds'} done" in lines[0]
        assert f"net {nets} of 10, epoch 12/12" in lines[2]


def test_running_rows_stay_visible_if_there_are_more_rows_than_lines() -> None:
    display = Display(terminal(80, 10))
    for number in range(20):
        display(Progress(f"stage {number}", state="Completed"))
    display(Progress("fold 0", state="Running"))
    lines = lines_shown(display)
    assert len(lines) <= 10
    assert "fold 0" in lines[-1]
    assert "stage 19" in lines[-2]


def test_task_runs_without_a_row_count_as_ended() -> None:
    display = Display(Console(file=io.StringIO()))
    for progress in (
        Progress("index train", state="Running"),
        Progress("index train", done=5, total=10, task_runs=1),
        Progress("index train", done=10, total=10, task_runs=1),
        Progress("index train", state="Completed"),
    ):
        display(progress)
    assert display.progress.ended == 3


def test_resumed_epoch_stays_on_the_terminal_after_the_next_step() -> None:
    console = terminal(80, 24)
    display = Display(console, ["fold 0"])
    with display, listening(display):
        report_progress(Progress("fold 0", state="Running"))
        report_progress(Progress("fold 0", event=Resumed(past=({},) * 4)))
        report_progress(Progress("fold 0", event=step_done(5, 9, 1, 9, loss=0.5)))
    assert display.rows["fold 0"].words == "epoch 5/9, loss 0.500"
    output: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert "  fold 0: resumes from epoch 5\n" in output


def test_stages_that_used_a_stored_result_are_counted() -> None:
    rows = Rows()
    for name, state in {"a": "Cached", "b": "Completed", "c": "Failed", "d": "Running"}.items():
        rows.update(Progress(name, state=state))
    assert rows.reused == (1, 2)
    assert (rows.failed, rows.stopped) == (["c"], ["d"])
