"""The folder of a run, the folds it depends on, and its data."""

import shutil
from pathlib import Path

import pytest

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.errors import SettingsError, StageError
from lsdc.store.manifest import Manifest, make_manifest
from lsdc.store.put_aside import claim_fold
from lsdc.store.runs import read_record
from tasks.identity import locked_experiment, needed_fold, record_of, require_needs
from tasks.request import RunOptions, RunRequest
from tasks.results import ensure_local
from tasks.run import CHANGES_NO_RESULT, PHANTOM, Run, open_run

KEY = "a" * 64


@pytest.fixture
def tables(phantom: Path, tmp_path: Path) -> Path:
    """Return a folder with only a competition's tables."""
    return copied(phantom, tmp_path / "lumbar")


def copied(phantom: Path, folder: Path) -> Path:
    folder.mkdir()
    for table in phantom.glob("*.csv"):
        shutil.copy(table, folder)
    return folder


def run_of(home: Path, data: Path | None, experiment: str = "demo", **settings: object) -> Run:
    asked = {"experiment": experiment, "data": data, "home": home, "folds": 4, **settings}
    return open_run(LumbarRun, RunRequest.of(**asked))


def begun(run: Run) -> Run:
    """Return the run with its folder, in which a fold is trained."""
    with locked_experiment(run) as found:
        found.fold(0).mkdir(parents=True, exist_ok=True)
        return found


def test_each_option_either_identifies_the_run_or_changes_no_result(tmp_path: Path) -> None:
    identifying = record_of(run_of(tmp_path / "home", None)).settings.keys()
    assert not identifying & CHANGES_NO_RESULT.keys()
    # Runs that tolerate more bad files share a folder, but only one of them may use it at a time.
    others = RunOptions.model_fields.keys() - identifying - CHANGES_NO_RESULT.keys()
    assert others == {"max_bad"}


def test_settings_that_change_no_result_change_no_folder(tables: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    begun(run_of(home, tables))
    same: list[dict[str, object]] = [
        {"only_fold": 1},
        {"device": "cpu", "threads": 1},
        {"strict": True, "max_bad": 0.5},
        {"settings": ["training.stall_minutes=9"]},
    ]
    assert {begun(run_of(home, tables, **each)).name for each in same} == {"demo"}
    others: dict[str, dict[str, object]] = {
        "demo@folds-3": {"folds": 3},
        "demo@seed-1": {"seed": 1},
        "demo@limit-5": {"limit": 5},
        "demo@annotations-raw": {"annotations": "raw"},
        "demo@holdout-0.1": {"holdout": 0.1},
        "demo@epochs-2": {"settings": ["training.epochs=2"]},
    }
    assert [begun(run_of(home, tables, **each)).name for each in others.values()] == [*others]
    record = read_record(home / "runs" / "demo@epochs-2")
    assert record is not None
    assert record.changed == {"training.epochs": 2}


def test_runs_with_other_weights_have_other_folders(tables: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    chosen = {"experiment": "exp118", "settings": ["model.pretrained=true"]}
    plain = run_of(home, tables, **chosen)
    backbone = plain.experiment.model.backbone
    runs = [plain]
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{backbone}.safetensors").write_text(name)
        runs.append(run_of(home, tables, weights=tmp_path / name, **chosen))
    names = [begun(run).name for run in runs]
    assert len(set(names)) == 3
    assert all(name.startswith("exp118@weights-") for name in names[1:])
    assert [begun(run).name for run in runs] == names


def test_moved_or_corrected_data_keep_the_folder(
    tables: Path, phantom: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    begun(run_of(home, tables))
    moved = tables.rename(tmp_path / "moved")
    (moved / "sample_submission.csv").unlink()  # another test set does not count as other data
    assert begun(run_of(home, moved)).name == "demo"
    with (moved / "train.csv").open("a") as table:
        table.write("\n")
    assert begun(run_of(home, moved)).name == "demo"
    other = copied(phantom, tmp_path / "other")
    assert begun(run_of(home, other)).name == "demo@other"


def test_phantom_is_not_the_default_in_a_home_with_other_data(
    tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    assert begun(run_of(home, None)).uses_phantom
    assert run_of(home, None).uses_phantom
    begun(run_of(home, tables))
    with pytest.raises(SettingsError, match=rf"has runs on {tables}; .*'--data phantom'"):
        run_of(home, None)
    asked = run_of(home, Path(PHANTOM))
    assert asked.uses_phantom
    assert begun(asked).name == "demo"
    assert run_of(home, home / "phantom").uses_phantom
    (tmp_path / PHANTOM).mkdir()
    assert run_of(home, Path(PHANTOM)).data == tmp_path / PHANTOM


def test_required_folds_have_the_same_data_and_split(tables: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    begun(run_of(home, None, "exp114"))
    begun(run_of(home, tables, "exp114", folds=3))
    run = begun(run_of(home, tables, "exp178"))
    first = home / "runs"
    assert needed_fold(run, "exp114", 1) == first / "exp114" / "fold-1"  # and is refused later
    begun(run_of(home, tables, "exp114", settings=["training.epochs=2"]))
    changed = "exp114@lumbar-epochs-2"
    assert needed_fold(run, "exp114", 1) == first / changed / "fold-1"
    begun(run_of(home, tables, "exp114"))
    assert needed_fold(run, "exp114", 1) == first / "exp114@lumbar" / "fold-1"


def test_members_on_other_data_or_folds_are_refused_with_the_command_that_trains_them(
    tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text('[both]\nmembers = ["demo"]\n')
    monkeypatch.setenv("LSDC_PRESETS", str(tmp_path / "mine.toml"))
    home = tmp_path / "home"
    run = begun(run_of(home, tables, "both", folds=3, seed=5))
    command = (
        rf"'lsdc run-local --experiment demo --data {tables} --home {home} --folds 3 --seed 5'"
    )
    with pytest.raises(StageError, match=rf"no trained fold, but members needs it.*{command}"):
        require_needs(run)
    begun(run_of(home, tables, "demo", folds=2, seed=5))
    with pytest.raises(StageError, match=rf"found runs/demo with folds 2; train it: {command}"):
        require_needs(run)
    with pytest.raises(SettingsError, match="both is an ensemble, which trains no folds"):
        require_needs(run.model_copy(update={"only_fold": 0}))


def trained(run: Run, fold: int) -> Manifest:
    folder = claim_fold(run.home, run.name, fold, KEY, say=pytest.fail)
    for name in ("oof.parquet", "fit.json"):
        (folder / name).write_text(name)
    return make_manifest(
        run.root, "train", folder, rows=1, names=["oof.parquet"], key=KEY, notes=["fit.json"]
    )


def test_equal_fold_of_another_run_is_copied(tables: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with locked_experiment(run_of(home, tables)) as one:
        made = trained(one, 0)
    with locked_experiment(run_of(home, tables, annotations="raw")) as two:
        assert ensure_local(two, made)
    assert two.name != one.name
    assert two.at_home(made).folder(home) == two.fold(0)
    assert (two.fold(0) / "oof.parquet").read_text() == "oof.parquet"
    assert (one.fold(0) / "oof.parquet").exists()


def test_fold_of_another_host_is_put_into_the_runs_folder(
    tables: Path, phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSDC_STORE", str(tmp_path / "store"))
    here, there = tmp_path / "here", tmp_path / "there"
    with locked_experiment(run_of(there, tables)) as run:
        made = trained(run, 0)
        assert run.shared is not None
        run.shared.publish("train", KEY, made, run.root)
    begun(run_of(here, None))
    with locked_experiment(run_of(here, tables)) as run:
        assert run.name == "demo@lumbar"
        assert ensure_local(run, made)
    assert (run.fold(0) / "fit.json").read_text() == "fit.json"
    assert [each.name for each in (here / "runs" / "demo" / "fold-0").iterdir()] == []
