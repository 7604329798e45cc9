"""The settings of experiments: what goes together, and what our own presets are."""

import pytest

from lsdc.challenges.ink.config.presets import DEFAULTS, EXPERIMENTS
from lsdc.challenges.ink.vocabulary import LAYERS
from lsdc.errors import SettingsError
from lsdc.experiments.reference import describe_settings

load = EXPERIMENTS.load


@pytest.mark.parametrize("name", EXPERIMENTS.names())
def test_every_table_resolves(name: str) -> None:
    experiment = load(name)
    assert experiment.note
    assert name.startswith("ink-")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["tiles.size_px=100"], "tiles.size_px"),
        (
            ["tiles.first_layer=40"],
            "7 groups of 5 layers from layer 40 end at 75, expected at most",
        ),
        (["model.stride=4"], "without a decoder, logits are at 1/32"),
        (["model.decoder=unet"], "expected less with decoder 'unet'"),
        (
            ["model.encoder=volume", "model.backbone=resnet18", "model.blocks=2"],
            "blocks has no effect",
        ),
        (["loss.bce=0"], "expected a weight above 0"),
        (["inference.stride_px=200", "inference.edge_px=32"], "leave gaps; expected at most 192"),
        (["inference.tta=none", "inference.views=square"], "views has no effect"),
        (["inference.layer_shifts=[1, 1]"], "expected each once"),
        (
            ["tiles.first_layer=1"],
            r"layer_shift_layers 2 moves layers 1 to 35 of a tile out of the volume's layers 0 to "
            "64: expected at most 1, or augment.layer_shift 0",
        ),
        (["tiles.first_layer=29"], "layer_shift_layers 2 .* expected at most 1"),
        (["tiles.first_layer=30"], r"layer_shift_layers 2 .* expected augment\.layer_shift 0"),
        (["inference.layer_shifts=[-16, 0]"], "layer_shifts: -16 moves .* expected -15 to 15"),
        (["inference.layer_shifts=[0, 16]"], "layer_shifts: 16 moves .* expected -15 to 15"),
        (["mask.by=value", "mask.block_px=256"], "block_px has no effect"),
        (["mask.threshold=0.9", "mask.top=0.5"], "expected more than the threshold"),
        (["mask.min_region_px=-1"], "min_region_px: expected 0 or more"),
        (["training.batch_by=study"], "a tile belongs to no study"),
        (["needs.labels=ink-small"], "every pixel of a training fragment has its label"),
        (["members=['ink-demo']"], "ensembles of this challenge are not built"),
        (["augment.mixup=0.8", "augment.cutmix=0.5"], "a batch is mixed in one way at most"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_settings_that_do_not_go_together_are_refused(settings: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load("ink-baseline", settings)


@pytest.mark.parametrize(
    "settings",
    [
        ["tiles.first_layer=2"],
        ["tiles.first_layer=28"],
        ["tiles.first_layer=30", "augment.layer_shift=0"],
        ["inference.layer_shifts=[-15, 0, 15]"],
    ],
)
def test_windows_may_reach_the_ends_of_the_volume(settings: list[str]) -> None:
    assert load("ink-baseline", settings).tiles.end_layer <= LAYERS


def test_the_gap_and_the_step_follow_the_size_of_a_tile() -> None:
    experiment = load("ink-baseline", ["tiles.size_px=192"])
    assert (experiment.gap_px, experiment.stride_px) == (192, 96)
    experiment = load("ink-baseline", ["split.gap_px=0", "inference.stride_px=64"])
    assert (experiment.gap_px, experiment.stride_px) == (0, 64)


def test_what_is_fitted_is_named() -> None:
    assert load("ink-baseline").mask.fitted == ("threshold",)
    assert load("ink-baseline", ["mask.threshold=0.93"]).mask.fitted == ()
    assert load("ink-small-regions").mask.fitted == ("threshold", "top", "min_region_px")


def test_defaults_are_known_and_fit_their_machine() -> None:
    assert DEFAULTS.choose(EXPERIMENTS, None).experiment == "ink-small"
    assert DEFAULTS.choose(EXPERIMENTS, 24.0).experiment == "ink-second"
    assert DEFAULTS.choose(EXPERIMENTS, 8.0).experiment == "ink-small"
    assert not load(DEFAULTS.synthetic).pretrained_backbones


def test_a_3d_encoder_has_no_pretrained_weights() -> None:
    assert load("ink-volume").pretrained_backbones == ()
    assert load("ink-small").pretrained_backbones == ("resnet18d.ra2_in1k",)


def test_every_setting_is_described() -> None:
    settings = describe_settings(EXPERIMENTS.config)
    assert [each.name for each in settings if not each.description] == []
