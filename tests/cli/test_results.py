"""What a run's end says beside its scores."""

from lsdc.cli.results import reported_line
from lsdc.experiments.presets import load_experiment


def test_what_the_lab_log_reports_is_said_and_marked_partial() -> None:
    said = {
        name: reported_line(load_experiment(name))
        for name in ("exp118", "exp083", "exp010", "demo")
    }
    assert "partial: fold 0 0.4143, leaderboard 0.45" in said["exp118"]
    assert "reports fold 0 0.4729, fold 1 0.4670, " in said["exp083"]
    assert "all folds 0.4876, leaderboard 0.60" in said["exp083"]
    assert said["exp010"] == said["demo"] == ""
