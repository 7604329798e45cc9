"""Which challenge an experiment, a folder, a request or a run belongs to."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lsdc.challenges.challenge import Challenge
from lsdc.challenges.hemorrhage.challenge import HEMORRHAGE
from lsdc.challenges.ink.challenge import INK
from lsdc.challenges.lumbar.challenge import LUMBAR
from lsdc.challenges.registry import (
    CHALLENGES,
    challenge_in,
    challenge_named,
    challenge_of,
    challenge_of_experiment,
    challenge_of_runs,
    experiment_names,
    load_experiment,
    require_challenge_in,
)
from lsdc.errors import DataError, SettingsError
from lsdc.store.home import open_home
from lsdc.store.runs import RECORD, RunRecord
from tasks.request import RunRequest

TABLES = {
    LUMBAR: "train.csv",
    HEMORRHAGE: "stage_2_train.csv",
    INK: "train/1/inklabels.png",
}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the user's experiments, which are those of this file."""
    path = tmp_path / "own.toml"
    monkeypatch.setenv("LSDC_PRESETS", str(path))
    path.write_text(
        '[mine]\nbased_on = "ich-demo"\n[mine-again]\nbased_on = "mine"\n'
        '[spine]\nbased_on = "demo"\n[bare]\n'
    )
    return path


def folder_of(challenge: Challenge, parent: Path) -> Path:
    folder = parent / challenge.name
    table = folder / TABLES[challenge]
    table.parent.mkdir(parents=True)
    table.write_text("")
    return folder


def test_a_table_that_competitions_have_in_common_tells_no_challenge(tmp_path: Path) -> None:
    (tmp_path / "sample_submission.csv").write_text("Id,Predicted\n")
    assert challenge_in(tmp_path) is None


def test_every_preset_belongs_to_the_challenge_that_brings_it() -> None:
    for challenge in CHALLENGES:
        assert challenge.experiments.challenge == challenge.name
        assert challenge.run.experiments is challenge.experiments
        for name in challenge.experiments.packaged:
            assert challenge_of_experiment(name) is challenge


def test_no_two_presets_have_the_same_name() -> None:
    names = [name for each in CHALLENGES for name in each.experiments.packaged]
    assert len(names) == len({name.casefold() for name in names})


def test_every_recommended_and_default_experiment_is_a_preset_of_its_challenge() -> None:
    for challenge in CHALLENGES:
        defaults = challenge.run.defaults
        named = [*challenge.recommended, defaults.synthetic, defaults.on_cpu, *defaults.on_gpu]
        assert {*named} <= {*challenge.experiments.packaged}


def test_an_own_experiment_belongs_to_the_challenge_that_it_is_based_on(own: Path) -> None:
    found = {name: challenge_of_experiment(name) for name in ("mine", "mine-again", "spine")}
    assert found == {"mine": HEMORRHAGE, "mine-again": HEMORRHAGE, "spine": LUMBAR}
    assert challenge_of_experiment("bare") is CHALLENGES[0]
    assert load_experiment("mine-again").name == "mine-again"
    assert {"mine", "spine", "ich-demo", "demo"} <= {*experiment_names()}


def test_an_own_experiment_with_the_name_of_any_preset_is_refused(own: Path) -> None:
    own.write_text('[ich-demo]\nbased_on = "demo"\n')
    with pytest.raises(SettingsError, match="ich-demo is a built-in experiment"):
        challenge_of_experiment("demo")


def test_an_unknown_experiment_is_named_with_a_similar_one_of_any_challenge() -> None:
    with pytest.raises(SettingsError, match="'ich-dem'; did you mean 'ich-demo'"):
        challenge_of_experiment("ich-dem")
    with pytest.raises(SettingsError, match="no challenge is called 'lung', expected lumbar or"):
        challenge_named("lung")


@pytest.mark.parametrize("challenge", CHALLENGES, ids=lambda each: each.name)
def test_a_folder_is_recognised_by_its_tables(challenge: Challenge, tmp_path: Path) -> None:
    assert challenge_in(tmp_path) is None
    folder = folder_of(challenge, tmp_path)
    assert challenge_in(folder) is require_challenge_in(folder) is challenge


def test_a_folder_without_tables_is_refused_with_the_tables_of_each(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.csv and others .*stage_2_train\.csv"):
        require_challenge_in(tmp_path)
    with pytest.raises(DataError, match="nowhere: no such folder"):
        require_challenge_in(tmp_path / "nowhere")


@pytest.mark.parametrize("challenge", CHALLENGES, ids=lambda each: each.name)
def test_a_request_without_an_experiment_is_of_the_challenge_of_its_data(
    challenge: Challenge, tmp_path: Path
) -> None:
    request = RunRequest.of(data=folder_of(challenge, tmp_path))
    assert challenge_of(request) is challenge
    assert challenge_of(RunRequest.of()) is CHALLENGES[0]


def test_a_request_with_an_experiment_is_of_its_challenge() -> None:
    assert challenge_of(RunRequest.of(experiment="ich-demo")) is HEMORRHAGE
    assert challenge_of(RunRequest.of(experiment="demo")) is LUMBAR


def test_an_experiment_of_another_challenge_than_the_data_is_refused(tmp_path: Path) -> None:
    data = folder_of(LUMBAR, tmp_path)
    with pytest.raises(SettingsError, match=r"ich-demo: an experiment of RSNA 2019 .* RSNA 2024"):
        challenge_of(RunRequest.of(experiment="ich-demo", data=data))


def test_a_resolved_experiment_tells_its_challenge_where_its_name_is_unknown(own: Path) -> None:
    resolved = HEMORRHAGE.experiments.resolve("mine")
    own.write_text("")  # as on another host
    request = RunRequest.of(experiment="mine", resolved=resolved)
    assert challenge_of(request) is HEMORRHAGE
    loaded = HEMORRHAGE.experiments.load("mine", resolved=resolved)
    assert loaded.name == "mine"


def test_runs_tell_their_challenge(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    for name, challenge in (("old", None), ("head", "hemorrhage"), ("back", "lumbar")):
        record = RunRecord(
            experiment=name,
            challenge=challenge,
            data="phantom",
            tables=None,
            settings={},
            begun=datetime.now(UTC),
        )
        home.run(name).mkdir(parents=True)
        (home.run(name) / RECORD).write_text(record.model_dump_json())
    assert challenge_of_runs(home, ["head"]) is HEMORRHAGE
    assert challenge_of_runs(home, ["old", "back"]) is LUMBAR
    assert challenge_of_runs(home, ["none-yet"]) is CHALLENGES[0]
    with pytest.raises(SettingsError, match="expected runs of one challenge"):
        challenge_of_runs(home, ["head", "back"])
