import json
from pathlib import Path

import pytest

from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.errors import LsdcError, SettingsError
from lsdc.experiments.presets import presets_environment
from lsdc.experiments.settings import settings_of


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the user's presets file."""
    path = tmp_path / "mine.toml"
    monkeypatch.setenv("LSDC_PRESETS", str(path))
    return path


def test_every_preset_can_be_loaded() -> None:
    for name in EXPERIMENTS.names():
        assert EXPERIMENTS.load(name).name == name
        assert EXPERIMENTS.lineage(name)[0] == name


def test_preset_changes_only_its_own_settings() -> None:
    base, demo = EXPERIMENTS.load("baseline"), EXPERIMENTS.load("demo")
    assert demo.based_on == "baseline"
    assert demo.crops.size_px != base.crops.size_px
    assert demo.crops.axial_window == base.crops.axial_window


def test_notes_and_scores_of_an_experiment_are_not_inherited(presets: Path) -> None:
    presets.write_text('[mine]\nbased_on = "exp087"\n')
    base, mine = EXPERIMENTS.load("exp087"), EXPERIMENTS.load("mine")
    assert base.note
    assert base.deviation
    assert base.reported.folds == {0: 0.4470}
    assert (mine.note, mine.deviation, mine.reported.folds) == ("", "", {})
    assert mine.model == base.model


def test_unknown_experiment_is_refused_with_the_closest_name() -> None:
    with pytest.raises(SettingsError, match="did you mean 'demo'"):
        EXPERIMENTS.load("dmeo")


def test_lab_log_has_25_slices_per_level() -> None:
    assert SlicesConfig().count == 25
    assert EXPERIMENTS.load("exp118").slices.count == 25


def test_presets_are_found_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LSDC_PRESETS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert "mine" not in EXPERIMENTS.names()
    (tmp_path / "lsdc-presets.toml").write_text(
        '[mine]\nbased_on = "exp118"\ntraining.epochs = 2\n\n[mine.needs]\nweights = "exp114"\n'
    )
    assert "mine" in EXPERIMENTS.names()
    mine = EXPERIMENTS.load("mine")
    assert mine.training.epochs == 2
    assert mine.needs.weights == "exp114"
    assert mine.model == EXPERIMENTS.load("exp118").model
    assert EXPERIMENTS.changes("mine") == {"training.epochs": 2, "needs.weights": "exp114"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[mine]\ntraining.epoch = 2\n",
            r"no setting is called 'training\.epoch'.*training\.epochs",
        ),
        ('[mine]\nbased_on = "exp18"\n', "no experiment is called 'exp18'; did you mean 'exp18"),
        (
            '[mine]\nbased_on = "yours"\n[yours]\nbased_on = "mine"\n',
            "circular: mine > yours > mine",
        ),
        ('[mine]\nneeds.labels = "mine"\n', "needs.labels: an experiment cannot need itself"),
        ('[mine]\nneeds.weights = "exp1145"\n', "no experiment is called 'exp1145'"),
        ('[mine]\nmembers = ["demo", "mine"]\n', "members: an experiment cannot need itself"),
        ('[mine]\nmembers = ["demmo"]\n', "no experiment is called 'demmo'; did you mean 'demo'?"),
        ('[mine]\nbased_on = "demo"\nmembers = ["exp118"]\n', "leave out based_on if that sets it"),
        (
            '[mine]\nmembers = ["both"]\n\n[both]\nmembers = ["demo", "exp118"]\n',
            "both is an ensemble itself, .*name its members, demo, exp118",
        ),
        ("[exp118]\ntraining.epochs = 2\n", "exp118 is a built-in experiment of lsdc"),
        ("[auto]\n", "mine.toml: auto means that lsdc chooses an experiment; choose another name"),
        ("mine = 3\n", "mine: expected a table"),
        ('["v2/slices"]\nbased_on = "mine"\n', "mine.toml: 'v2/slices' is not a valid folder name"),
        ('["../../outside"]\n[mine]\n', "mine.toml: '../../outside' is not a valid folder name"),
        ("[mine]\n[Mine]\n", "Mine and mine differ only in case"),
        ("[mine]\n[Demo]\n", "Demo and demo differ only in case"),
        ("[mine\n", "expected TOML"),
    ],
)
def test_error_in_a_user_preset_is_named(presets: Path, text: str, said: str) -> None:
    presets.write_text(text)
    with pytest.raises(SettingsError, match=said):
        EXPERIMENTS.load("mine")


def test_missing_presets_file_is_refused(presets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"LSDC_PRESETS: .*mine\.toml: No such file"):
        EXPERIMENTS.load("demo")
    monkeypatch.setenv("LSDC_PRESETS", "~nobody-of-ours/mine.toml")
    with pytest.raises(SettingsError, match=r"LSDC_PRESETS: .*~nobody-of-ours/mine\.toml: No such"):
        EXPERIMENTS.load("demo")


def test_resolved_experiment_does_not_change_with_the_presets_file(presets: Path) -> None:
    presets.write_text(
        '[base]\nbased_on = "demo"\ntraining.epochs = 9\n\n'
        '[mine]\nbased_on = "base"\nneeds.weights = "base"\n'
    )
    meant, mine = json.loads(json.dumps(EXPERIMENTS.resolve("mine"))), EXPERIMENTS.load("mine")
    changed = EXPERIMENTS.load("mine", ["crops.size_px=32"])
    presets.write_text('[mine]\nbased_on = "exp118"\n')
    assert EXPERIMENTS.load("mine", resolved=meant) == mine
    assert EXPERIMENTS.load("mine", ["crops.size_px=32"], resolved=meant) == changed
    presets.unlink()
    assert EXPERIMENTS.load("mine", resolved=meant) == mine
    assert (mine.training.epochs, mine.needs.weights) == (9, "base")


def test_every_resolved_experiment_equals_its_preset() -> None:
    for name in EXPERIMENTS.names():
        sent = json.loads(json.dumps(EXPERIMENTS.resolve(name)))
        assert EXPERIMENTS.load(name, resolved=sent) == EXPERIMENTS.load(name)


def test_resolved_settings_of_another_experiment_are_refused() -> None:
    with pytest.raises(SettingsError, match="has the settings of 'demo'; leave 'resolved' empty"):
        EXPERIMENTS.load("baseline", resolved=EXPERIMENTS.resolve("demo"))


def test_error_for_an_unknown_name_names_the_presets_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LSDC_PRESETS", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        SettingsError, match=f"in {tmp_path}/lsdc-presets.toml, which does not exist"
    ):
        EXPERIMENTS.load("mine")


@pytest.mark.parametrize("named", [False, True])
def test_process_in_another_folder_finds_the_same_presets(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "lsdc-presets.toml").write_text('[mine]\nbased_on = "demo"\n')
    monkeypatch.chdir(tmp_path)
    if named:
        monkeypatch.setenv("LSDC_PRESETS", "lsdc-presets.toml")
    else:
        monkeypatch.delenv("LSDC_PRESETS", raising=False)
    handed = presets_environment()
    monkeypatch.chdir(elsewhere)
    for name, value in handed.items():
        monkeypatch.setenv(name, value)
    assert "mine" in EXPERIMENTS.names()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[mine]\nbased_on = "demo"\n'.encode("utf-16"), "is encoded in UTF-16, expected UTF-8"),
        ('[mine]\nnote = "café"\n'.encode("latin-1"), "line 2 contains the byte 0xE9"),
        (b'[mine]\nbased_on = "demo"\n' + bytes(40), "40 NUL bytes at the end, from line 3 on"),
    ],
)
def test_error_for_presets_in_another_encoding_names_it(
    presets: Path, content: bytes, said: str
) -> None:
    presets.write_bytes(content)
    with pytest.raises(LsdcError, match=said):
        EXPERIMENTS.load("mine")


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_presets_with_a_byte_order_mark_and_other_line_ends_are_read(
    presets: Path, line_end: str
) -> None:
    text = line_end.join(["[mine]", 'based_on = "demo"', "training.epochs = 3", ""])
    presets.write_bytes(text.encode("utf-8-sig"))
    assert EXPERIMENTS.load("mine").training.epochs == 3


def test_an_ensemble_has_only_the_settings_that_have_an_effect(presets: Path) -> None:
    presets.write_text(
        '[both]\nmembers = ["demo", "exp118"]\nensemble.weights = "fitted"\n'
        'labels.conditions = ["spinal_canal_stenosis"]\n'
    )
    both, plain = EXPERIMENTS.load("both"), EXPERIMENTS.load("demo")
    assert list(settings_of(both)) == [
        "members",
        "labels.conditions",
        "labels.levels",
        *(f"ensemble.{name}" for name in EnsembleConfig.model_fields),
    ]
    assert settings_of(both)["ensemble.weights"] == "fitted"
    assert both.pretrained_backbones == ()
    assert not {"members", "ensemble.weights"} & set(settings_of(plain))
