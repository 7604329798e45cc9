"""What tells runs of the haemorrhage challenge apart."""

from pathlib import Path

import pytest

from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.errors import SettingsError
from lsdc.store.runs import RECORD, RunRecord
from tasks.identity import locked_experiment, record_of
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


def test_the_other_challenges_parameter_is_refused_and_identifies_no_run(tmp_path: Path) -> None:
    def opened(**given: object) -> HemorrhageRun:
        return open_run(HemorrhageRun, RunRequest.of(home=tmp_path / "home", **given))

    with pytest.raises(SettingsError, match="--annotations raw: the challenge hemorrhage has no"):
        opened(annotations="raw")
    # The default is what Prefect's form and saved deployments send.
    assert "annotations" not in record_of(opened(annotations="clean")).settings


def test_run_of_an_earlier_version_whose_record_has_that_parameter_goes_on(tmp_path: Path) -> None:
    run = open_run(HemorrhageRun, RunRequest.of(home=tmp_path / "home"))
    with locked_experiment(run) as begun:
        begun.fold(0).mkdir(parents=True)
    path = begun.folder / RECORD
    record = RunRecord.model_validate_json(path.read_bytes())
    settings = record.settings | {"annotations": "clean"}
    path.write_text(record.model_copy(update={"settings": settings}).model_dump_json())
    with locked_experiment(run) as again:
        assert again.name == begun.name
