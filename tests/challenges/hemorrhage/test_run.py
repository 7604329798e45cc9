"""What tells runs of the haemorrhage challenge apart."""

from pathlib import Path

from lsdc.challenges.hemorrhage.run import HemorrhageRun
from tasks.identity import locked_experiment
from tasks.request import RunRequest
from tasks.run import open_run


def test_run_goes_on_in_its_folder_where_the_data_were_moved(tmp_path: Path) -> None:
    def begun(data: Path) -> str:
        request = RunRequest.of(experiment="ich-demo", data=data, home=tmp_path / "home")
        with locked_experiment(open_run(HemorrhageRun, request)) as run:
            run.fold(0).mkdir(parents=True, exist_ok=True)
            return run.name

    data, other = tmp_path / "ich", tmp_path / "other"
    for folder in (data, other):
        folder.mkdir()
        (folder / "stage_2_train.csv").write_text(f"ID,Label\n{folder.name},0\n")
    assert begun(data) == "ich-demo"
    assert begun(data.rename(tmp_path / "moved")) == "ich-demo"
    assert begun(other) == "ich-demo@other"
