"""The settings of experiments: what goes together, and what our own presets are."""

import pytest

from lsdc.challenges.hemorrhage.config.presets import DEFAULTS, EXPERIMENTS
from lsdc.challenges.hemorrhage.vocabulary import LABELS
from lsdc.errors import SettingsError
from lsdc.experiments.reference import describe_settings
from lsdc.experiments.settings import settings_of

load = EXPERIMENTS.load


@pytest.mark.parametrize("name", EXPERIMENTS.names())
def test_every_table_resolves_and_what_it_needs_exists(name: str) -> None:
    experiment = load(name)
    assert experiment.note
    for _, needed in experiment.required:
        assert needed in EXPERIMENTS.names()


@pytest.mark.parametrize(
    ("settings", "channels"),
    [
        ([], 3),
        (["model.neighbours=[-1, 0, 1]"], 9),
        (["model.neighbours=[-1, 1]"], 6),
        (["model.neighbours=[-1, 0, 1]", "model.neighbour_weights=[0.2, 0.6, 0.2]"], 3),
        (["slices.window=header"], 1),
        (["slices.window=header", "model.neighbours=[0, 0, 0]"], 3),
    ],
)
def test_an_image_has_a_channel_a_window_of_each_neighbour(
    settings: list[str], channels: int
) -> None:
    assert load("ich-baseline", settings).channels == channels


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["model.neighbour_weights=[0.5, 0.5]"], "neighbour_weights: expected one for each of"),
        (["model.neighbour_weights=[0.5]"], "neighbour_weights: expected a sum of 1, got 0.5"),
        (["sampling.middle=2.0"], "middle has no effect where all slices are shown"),
        (["tta.plain_share=0.4"], "plain_share has no effect without views"),
        (["sequence.kind=gru", "tta.rotate=[10.0]"], "reads each slice as it is"),
        (["model.head=['batch_norm','linear']", "training.batch_size=1"], "cannot train on a"),
        (["needs.labels=ich-strong"], "every slice has its labels"),
        (["members=['ich-demo']"], "ensembles of this challenge are not built"),
        (["loss.weights=[1, 1, 1, 1, 1, 0]"], "loss.weights"),
        (["model.rnn=lstm"], "no setting is called 'model.rnn'"),
        (["tta.slice_shift=[1]"], "no setting is called 'tta.slice_shift'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_settings_that_do_not_go_together_are_refused(settings: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load("ich-baseline", settings)


def test_the_default_loss_has_the_metrics_weights() -> None:
    assert load("ich-baseline").loss.weights == tuple(label.weight for label in LABELS)


def test_settings_of_the_sequence_have_an_effect_with_their_kind_alone() -> None:
    def known(kind: str) -> set[str]:
        names = settings_of(load("ich-demo", [f"sequence.kind={kind}"]))
        return {name.partition(".")[2] for name in names if name.startswith("sequence.")}

    assert known("none") == {"kind"}
    assert known("stacking") == {"kind", "reach", "strength"}
    assert {"width", "layers", "epochs"} < known("lstm")
    assert "reach" not in known("gru")


def test_the_sequence_is_trained_in_the_precision_of_the_slices() -> None:
    experiment = load("ich-strong")
    training = experiment.sequence.training(experiment.training)
    assert (training.precision, training.epochs, training.batch_size) == ("bfloat16", 12, 4)


def test_strong_follows_the_second_place() -> None:
    strong = load("ich-strong")
    assert strong.slices.windows == ((40, 80), (80, 200), (40, 380))
    assert (strong.slices.size_px, strong.slices.crop) == (480, "none")
    assert strong.model.neighbour_weights == pytest.approx([0.6 / 3, 1.8 / 3, 0.6 / 3])
    assert strong.training.batch_size * strong.training.accumulate == 64
    assert (strong.training.learning_rate, strong.training.epochs) == (2e-5, 5)
    assert strong.sequence.kind == "lstm"
    assert strong.expected.gpu_hours
    assert strong.expected.gpu_gb is not None
    assert strong.expected.gpu_gb[1] <= 24


def test_defaults_are_known_and_fit_their_machine() -> None:
    assert DEFAULTS.choose(EXPERIMENTS, None).experiment == "ich-small"
    assert DEFAULTS.choose(EXPERIMENTS, 24.0).experiment == "ich-strong"
    assert DEFAULTS.choose(EXPERIMENTS, 12.0).experiment == "ich-small"
    demo = load(DEFAULTS.synthetic)
    assert not demo.pretrained_backbones
    assert demo.sequence.kind != "none"


def test_every_setting_is_described() -> None:
    settings = describe_settings(EXPERIMENTS.config)
    assert [each.name for each in settings if not each.description] == []
