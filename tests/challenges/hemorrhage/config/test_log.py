"""The notes' experiments: all are present, with every figure, and each contradiction is said."""

import re

import pytest

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.config.presets import EXPERIMENTS

ENTRIES = [name for name in EXPERIMENTS.names() if name.startswith("ich-exp")]
PLAIN, ANY_TWICE = (1.0,) * 6, (*(1.0,) * 5, 2.0)

# Training loss, validation loss, accuracy, leaderboard, leaderboard with TTA, as in the notes.
FIGURES: dict[str, tuple[float | None, ...]] = {
    "ich-exp00": (0.054292, 0.059521, 0.978539, 0.086, 0.078),
    "ich-exp10": (0.041329, 0.055582, 0.980156, 0.090, 0.079),
    "ich-exp10-tfl": (0.050205, 0.055050, 0.979957, 0.076, 0.074),
    "ich-exp10-mixup": (0.092150, 0.060023, 0.978396, 0.082, 0.073),
    "ich-exp10-mixup-long": (0.086897, 0.057901, 0.979283, 0.084, 0.074),
    "ich-exp10-mixup-tfl-512": (0.086444, 0.054722, 0.980179, 0.077, 0.072),
    "ich-exp20": (0.053704, 0.059312, 0.978431, 0.084, 0.079),
    "ich-exp20-512": (0.051353, 0.057057, 0.979002, 0.076, 0.074),
    "ich-exp30": (0.045051, 0.054926, 0.980641, 0.095, 0.079),
    "ich-exp40": (0.045853, 0.054660, 0.980348, 0.083, 0.074),
    "ich-exp50": (0.054744, 0.060970, 0.979881, 0.076, 0.071),
    "ich-exp60": (0.046806, 0.054757, 0.980367, 0.082, 0.072),
    "ich-exp70": (0.058169, 0.070095, 0.980923, None, 0.824),
    "ich-exp80": (0.054669, 0.075873, 0.979646, 0.799, 0.081),
    "ich-exp90": (None, 0.052711, 0.981537, 0.093, 0.075),
    "ich-exp310": (0.065647, 0.065829, 0.978151, 0.071, 0.072),
}
WITHOUT = {"ich-exp00-head", "ich-exp30-head", "ich-exp300", "ich-exp400"}


def load(name: str) -> Experiment:
    return EXPERIMENTS.load(name)


def test_all_entries_are_there_in_the_order_of_the_notes() -> None:
    assert set(ENTRIES) == set(FIGURES) | WITHOUT
    order = [name for name in ENTRIES if name not in WITHOUT]
    assert order == list(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_every_reported_figure_appears(name: str) -> None:
    reported = load(name).reported
    found = (
        *(next(iter(of.values()), None) for of in (reported.training_losses, reported.losses)),
        next(iter(reported.accuracies.values())),
        reported.leaderboard,
        reported.leaderboard_views,
    )
    assert found == FIGURES[name]
    folds = {*reported.training_losses, *reported.losses, *reported.accuracies}
    assert folds == ({6} if name in ("ich-exp60", "ich-exp70", "ich-exp80", "ich-exp90") else {0})
    assert reported.results[0] is reported


def test_figures_that_the_table_alone_has_are_kept_beside() -> None:
    beside = {name: load(name).reported.again for name in ENTRIES}
    found = {name: again[0].leaderboard for name, again in beside.items() if again}
    assert found == {"ich-exp80": 0.079, "ich-exp90": 0.094}


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_entries_without_figures_say_so(name: str) -> None:
    assert not load(name).reported.results
    assert re.search("[Nn]o figures", load(name).deviation)


# What text, table and notebooks of the notes contradict each other in, and who has to say it.
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["00-head", "00", "10", "10-tfl", "20", "20-512", "30-head", "30"], "dicom_to_png.py"),
        (["10-mixup", "10-mixup-long", "10-mixup-tfl-512"], "as in ich-exp10"),
        (["10-mixup"], "EXP_10_MIXUP_TFL_512: it is the first phase"),
        (["10-mixup-tfl-512"], "shifted by a line"),
        (["10-mixup-tfl-512"], "0.3 at 1e-3, 15 epochs"),
        (["50"], "section says EfficientNet B0, table and notebook B3"),
        (["50"], "Only the table has the leaderboard with TTA"),
        (["60"], "table says pretrained"),
        (["70"], "table says 300 px"),
        (["70"], "notebook trained without"),
        (["70", "80"], "logits submitted as probabilities"),
        (["80"], "0.079 is a slip"),
        (["90"], "0.075873, is the validation loss of EXP_80"),
        (["310"], "pos_weight 2"),
        (["310"], "PHASE_1"),
        (["70", "80"], "2 on the last place"),
        (["70", "80"], "7/6 of the metric"),
        (["10", "20"], "notebook 1e-2/3"),
        (["30"], "notebook for 0.68"),
        (["80", "90"], "notebook fold 0"),
        (["300", "400"], "script of one window"),
        (["400"], "EfficientNet B2, 512 px"),
        (["00", "10", "20", "40"], "notebook normalised nothing"),
        (["50", "60"], "default transforms"),
        (["10", "20", "80"], "timm"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_contradiction_is_said(names: list[str], said: str) -> None:
    for name in names:
        assert said in load(f"ich-exp{name}").deviation, name


def test_weighted_losses_are_seven_sixths_of_the_metric() -> None:
    for name, metric in (("ich-exp70", 0.060081), ("ich-exp80", 0.065034)):
        (loss,) = load(name).reported.losses.values()
        assert loss * 6 / 7 == pytest.approx(metric, abs=1e-6)
        assert str(metric) in load(name).deviation


@pytest.mark.parametrize(
    ("name", "weights"),
    dict.fromkeys(("ich-exp70", "ich-exp80", "ich-exp300", "ich-exp400"), ANY_TWICE).items(),
)
def test_later_entries_weigh_any_twice(name: str, weights: tuple[float, ...]) -> None:
    assert load(name).loss.weights == weights
    assert load(name).loss.positive_weights == PLAIN


def test_other_entries_do_not_and_two_weigh_its_positives() -> None:
    twice = {name for name in ENTRIES if load(name).loss.weights == ANY_TWICE}
    positive = {name for name in ENTRIES if load(name).loss.positive_weights == ANY_TWICE}
    assert len(twice) == 4
    assert positive == {"ich-exp50", "ich-exp310"}


def test_phases_and_sizes_start_from_the_weights_before() -> None:
    needs = {name: load(name).needs.weights for name in ENTRIES}
    assert {name: needed for name, needed in needs.items() if needed} == {
        "ich-exp00": "ich-exp00-head",
        "ich-exp10-tfl": "ich-exp10",
        "ich-exp10-mixup-long": "ich-exp10-mixup",
        "ich-exp10-mixup-tfl-512": "ich-exp10-mixup-long",
        "ich-exp20-512": "ich-exp20",
        "ich-exp30": "ich-exp30-head",
        "ich-exp40": "ich-exp10-mixup-long",
    }
    for name, needed in needs.items():
        if needed:
            one, other = load(name), load(needed)
            assert one.model.backbone == other.model.backbone
            assert one.channels == other.channels
            assert one.model.width == other.model.width


def test_frozen_phases_freeze_all_of_their_epochs() -> None:
    for name in ENTRIES:
        training = load(name).training
        frozen = training.epochs if name.endswith("-head") else 0
        assert training.freeze_epochs == frozen, name


def test_entries_use_the_notes_tta_and_choose_the_epoch_by_its_loss() -> None:
    for name in ENTRIES:
        entry = load(name)
        assert (entry.tta.corners, entry.tta.plain_share) == (1.35, 0.4)
        assert entry.training.keep == "loss"
        assert entry.sampling.min_content == 0
        assert entry.sequence.kind == "none"


@pytest.mark.parametrize(
    ("name", "px", "batch", "epochs", "rate", "flat"),
    [
        ("ich-exp00", 224, 512, 20, 1e-3 / 8, 0.7),
        ("ich-exp10", 224, 384, 20, 1e-2 / 3, 0.7),
        ("ich-exp10-tfl", 512, 64, 5, 1e-3, 0.7),
        ("ich-exp10-mixup", 224, 384, 25, 1e-2 / 2, 0.7),
        ("ich-exp10-mixup-long", 224, 384, 30, 1e-3 / 2, 0.0),
        ("ich-exp10-mixup-tfl-512", 512, 96, 15, 1e-3, 0.3),
        ("ich-exp20", 224, 384, 20, 1e-2 / 3, 0.7),
        ("ich-exp20-512", 512, 64, 10, 1e-2 / 8, 0.7),
        ("ich-exp30", 224, 512, 30, 1e-4, 0.68),
        ("ich-exp40", 224, 384, 25, 1e-3, 0.7),
        ("ich-exp50", 300, 380, 15, 0.004, 0.4),
        ("ich-exp60", 224, 368, 30, 0.004, 0.7),
        ("ich-exp70", 224, 480, 50, 0.0028, 0.68),
        ("ich-exp80", 224, 512, 50, 0.002, 0.7),
        ("ich-exp90", 224, 512, 50, 0.003, 0.0),
        ("ich-exp310", 380, 184, 7, 1e-2 / 3, 0.0),
        ("ich-exp300", 224, 512, 30, 0.003, 0.0),
        ("ich-exp400", 224, 512, 30, 0.002, 0.7),
    ],
)
def test_sizes_and_schedules_are_the_notes(
    name: str, px: int, batch: int, epochs: int, rate: float, flat: float
) -> None:
    entry = load(name)
    training = entry.training
    assert (entry.slices.size_px, training.batch_size, training.epochs) == (px, batch, epochs)
    assert training.learning_rate == pytest.approx(rate, rel=1e-3)
    assert training.flat == flat
    assert training.schedule == ("cosine" if flat else "one_cycle")
    assert training.optimiser == ("ranger" if flat else "adamw")


@pytest.mark.parametrize(
    ("entries", "windows", "crop"),
    [
        (["40", "50", "80", "90", "310", "300"], ((40, 80), (80, 200), (200, 450)), "background"),
        (["60", "70", "400"], ((40, 80), (50, 175), (500, 3000)), "none"),
    ],
)
def test_three_windows_are_stretched_by_image_as_in_the_notes(
    entries: list[str], windows: tuple[tuple[float, float], ...], crop: str
) -> None:
    for name in entries:
        slices = load(f"ich-exp{name}").slices
        assert (slices.window, slices.stretch) == ("fixed", "image")
        assert (slices.windows, slices.crop) == (windows, crop)


def test_notes_have_no_stray_whitespace() -> None:
    for name in EXPERIMENTS.names():
        for text in (load(name).note, load(name).deviation, load(name).expected.source):
            assert text == text.strip(), name
            assert "\n" not in text, name
