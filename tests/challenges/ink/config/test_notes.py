"""The notes' searches and lists, and the winning code's values."""

import pytest

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.config.presets import EXPERIMENTS

# Layers of a group, groups, side in pixels, and the figure of the notes.
SEARCH: dict[str, tuple[int, int, int, float | None]] = {
    "ink-7x7": (7, 7, 256, 0.6483),
    "ink-6x7": (6, 7, 256, 0.6521),
    "ink-6x6": (6, 6, 256, 0.6524),
    "ink-5x7": (5, 7, 256, 0.6624),
    "ink-3x16": (3, 16, 256, None),
    "ink-3x16-192": (3, 16, 192, None),
    "ink-2x18-192": (2, 18, 192, None),
    "ink-4x9": (4, 9, 256, None),
    "ink-3x9": (3, 9, 256, None),
    "ink-2x24-192": (2, 24, 192, None),
    "ink-5x6": (5, 6, 256, None),
    "ink-4x7": (4, 7, 256, None),
    "ink-3x7": (3, 7, 256, None),
}
# Means over five folds, in the docstrings of the winning code.
SECOND = {
    "ink-second": 0.7102,
    "ink-second-3x9": 0.7182,
    "ink-second-convnext": 0.7239,
    "ink-second-convnext-3x9": 0.7233,
    "ink-second-swinv2": 0.7229,
    "ink-second-swinv2-3x9": 0.7282,
    "ink-second-swin": 0.7201,
    "ink-second-swin-3x9": 0.7230,
    "ink-second-3x12": 0.7187,
    "ink-second-2x15": 0.7050,
    "ink-second-csn50": 0.7137,
    "ink-second-csn152": 0.7258,
}


def load(name: str) -> Experiment:
    return EXPERIMENTS.load(name)


@pytest.mark.parametrize("name", SEARCH)
def test_the_search_for_layers_has_its_figures(name: str) -> None:
    layers, groups, size, figure = SEARCH[name]
    experiment = load(name)
    tiles = experiment.tiles
    assert (tiles.group_layers, tiles.groups, tiles.size_px) == (layers, groups, size)
    assert experiment.reported.oof == figure
    assert experiment.deviation


@pytest.mark.parametrize("name", SEARCH)
def test_the_search_is_of_the_middle_layers(name: str) -> None:
    tiles = load(name).tiles
    below, above = tiles.first_layer, 65 - tiles.end_layer
    assert 0 <= above - below <= 1


def test_the_winning_codes_models_are_there_with_their_figures() -> None:
    names = [name for name in EXPERIMENTS.names() if name.startswith("ink-second")]
    assert {name: load(name).reported.oof for name in names} == SECOND


def test_every_experiment_of_the_notes_says_what_differs() -> None:
    ours = {"ink-baseline", "ink-demo", "ink-small", "ink-volume"}
    assert [name for name in EXPERIMENTS.names() if not load(name).deviation] == sorted(
        ours, key=EXPERIMENTS.names().index
    )


def test_second_has_the_winning_codes_values() -> None:
    second = load("ink-second")
    assert (second.model.drop_path, second.model.dropout, second.model.blocks) == (0.2, 0.4, 3)
    assert second.augment.ways_to_mix == (0.25, 0.25, 0.25)
    assert (second.loss.bce, second.loss.fbeta, second.loss.label_smoothing) == (1, 1, 0.2)
    training = second.training
    assert (training.learning_rate, training.ema_decay, training.epochs) == (1e-3, 0.99, 30)
    assert training.batch_size * training.accumulate == 64  # four GPUs with 16 tiles
    assert (second.inference.tta, second.inference.views, second.stride_px) == (
        "in_turn",
        "flips",
        32,
    )


def test_each_word_of_the_lists_changes_what_it_says() -> None:
    assert load("ink-shift").augment.layer_shift == 0.5
    assert load("ink-drop").model.drop_path == 0.2
    assert load("ink-mixes").augment.cutmix > 0
    assert load("ink-ema").training.ema_decay == 0.99
    assert load("ink-mixup-all").augment.plain_epochs == 0.4 * 30
    assert load("ink-fbeta").loss.fbeta == 1
    assert load("ink-5x7").loss.fbeta == 0
    assert load("ink-small-regions").mask.shrink == 32
    assert load("ink-notes").inference.views == "flips_and_layers"
    assert load("ink-notes").training.ema_decay is None
