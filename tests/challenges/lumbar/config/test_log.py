"""The lab log's entries: all are present and match the log."""

import re

import pytest

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.experiments.reported import LOG_FOLDS

# Numbers that the log skipped or did not finish.
ABSENT = {152, 157, 183, 186}
ENTRIES = [name for name in EXPERIMENTS.names() if name.startswith("exp")]


def load_all() -> dict[str, Experiment]:
    return {name: EXPERIMENTS.load(name) for name in ENTRIES}


def test_log_has_all_187_entries_in_order() -> None:
    numbers = [f"exp{number:03}" for number in range(1, 191) if number not in ABSENT]
    numbers.insert(numbers.index("exp144") + 1, "exp144-2")
    assert numbers == ENTRIES
    assert len(ENTRIES) == 187


def test_every_entry_is_based_on_the_first() -> None:
    for name in ENTRIES:
        assert EXPERIMENTS.lineage(name)[-1] == "exp001"
        assert EXPERIMENTS.lineage(name) == sorted(EXPERIMENTS.lineage(name), reverse=True)


def test_every_entry_has_a_score_or_a_reason() -> None:
    for name, entry in load_all().items():
        assert entry.reported.results or re.search("no score|finish", entry.deviation), name
        for result in entry.reported.results:
            figures = [*result.folds.values(), *result.losses.values(), result.oof or 0.5]
            assert all(0.3 < figure < 1.1 for figure in figures), name
            assert set(result.losses) <= set(result.folds), name
            assert all(0 <= fold < LOG_FOLDS for fold in result.folds), name


@pytest.mark.parametrize(
    ("name", "folds", "oof", "leaderboard"),
    [
        ("exp001", {0: 0.5168}, None, None),
        ("exp023", {0: 1.0378}, None, None),
        ("exp026", {0: 0.4986, 1: 0.5240, 2: 0.5380, 3: 0.5118}, None, None),
        ("exp040", {}, 0.52188, None),
        ("exp047", {0: 0.4838, 1: 0.4787}, None, None),
        ("exp075", {}, 0.4999, 0.54),
        ("exp083", {0: 0.4729, 1: 0.4670, 2: 0.5161, 3: 0.4932}, 0.4876, 0.60),
        ("exp087", {0: 0.4470}, None, 1.07),
        ("exp090", {0: 0.4212}, None, 0.47),
        ("exp098", {0: 0.4187, 1: 0.4291, 2: 0.4469, 3: 0.4691}, 0.4413, 0.45),
        ("exp102", {0: 0.4146, 2: 0.4467}, None, 0.47),
        ("exp103", {2: 0.4545}, None, None),
        ("exp114", {}, 0.4427, 0.43),
        ("exp118", {0: 0.4143}, None, 0.45),
        ("exp127", {0: 0.3986}, None, 0.46),
        ("exp144-2", {}, None, None),
        ("exp148", {3: 0.4474}, None, None),
        ("exp164", {}, 0.44082, 0.45),
        ("exp187", {}, 0.4293, None),
        ("exp190", {}, None, None),
    ],
)
def test_reported_scores_match_the_log(
    name: str, folds: dict[int, float], oof: float | None, leaderboard: float | None
) -> None:
    reported = EXPERIMENTS.load(name).reported
    assert (reported.folds, reported.oof, reported.leaderboard) == (folds, oof, leaderboard)
    assert reported.partial == (oof is None and len(folds) < LOG_FOLDS)


@pytest.mark.parametrize(
    ("name", "kept_by", "folds", "oof", "leaderboard"),
    [
        ("exp097", "loss", {0: 0.4313}, None, 0.47),
        ("exp098", "loss", {0: 0.4313, 1: 0.4291, 2: 0.4469, 3: 0.4691}, 0.4444, 0.44),
        ("exp114", "loss", {}, 0.4462, 0.44),
        ("exp118", "metric", {0: 0.4091}, None, 0.47),
    ],
)
def test_reruns_and_other_epochs_are_recorded_separately(
    name: str, kept_by: str, folds: dict[int, float], oof: float | None, leaderboard: float
) -> None:
    (again,) = EXPERIMENTS.load(name).reported.again
    assert (again.kept_by, again.folds) == (kept_by, folds)
    assert (again.oof, again.leaderboard) == (oof, leaderboard)


def test_settings_of_exp118_match_the_log() -> None:
    entry = EXPERIMENTS.load("exp118")
    assert entry.model.backbone == "tf_efficientnetv2_s.in21k_ft_in1k"
    assert (entry.model.slices_as, entry.model.rnn, entry.model.slice_pool) == (
        "sequence",
        "lstm",
        "attention",
    )
    assert entry.model.heads == "condition"
    assert (entry.crops.sagittal_window, entry.crops.axial_window) == (0.12, 0.35)
    assert (entry.crops.size_px, entry.slices.group_by) == (128, "side")
    assert (entry.training.epochs, entry.training.learning_rate) == (10, 4e-4)
    assert (entry.training.warmup, entry.training.batch_size) == (0.2, 8)
    assert entry.augment.cutout > 0
    assert entry.augment.vertical_flip == entry.augment.mixup == 0


def test_axial_windows_are_centred_on_the_image_until_exp110() -> None:
    for name, entry in load_all().items():
        assert entry.crops.axial_centre == ("image" if name < "exp110" else "level"), name


@pytest.mark.parametrize(
    ("name", "count"),
    {
        "exp008": 18,
        "exp033": 21,
        "exp041": 9,
        "exp042": 12,
        "exp052": 22,
        "exp076": 25,
        "exp079": 16,
        "exp085": 22,
        "exp102": 25,
        "exp113": 21,
    }.items(),
)
def test_slice_counts_of_entries_match_the_log(name: str, count: int) -> None:
    assert EXPERIMENTS.load(name).slices.count == count


def test_entries_from_exp178_on_need_labels_predicted_by_exp114() -> None:
    entries = load_all()
    needy = {name for name, entry in entries.items() if entry.needs.labels}
    assert needy == {"exp178", "exp179", "exp180", "exp181", "exp182"} | {
        "exp184",
        "exp187",
        "exp188",
        "exp189",
    }
    assert {entries[name].needs.labels for name in needy} == {"exp114"}
    assert entries["exp114"].needs.labels is None


def test_entries_select_epochs_on_the_scored_fold() -> None:
    assert {entry.training.keep for entry in load_all().values()} == {"metric", "loss", "both"}
    assert EXPERIMENTS.load("baseline").training.keep == "last"


def test_first_scores_belong_to_the_configured_epoch_selection() -> None:
    by_loss = {name for name, entry in load_all().items() if entry.training.keep == "loss"}
    assert by_loss == {"exp100", "exp101"}
    for name, entry in load_all().items():
        assert entry.reported.kept_by == ("loss" if name in by_loss else "metric"), name


def test_notes_have_no_stray_whitespace() -> None:
    for name, entry in load_all().items():
        for text in (entry.note, entry.deviation):
            assert text == text.strip(), name
            assert "\n" not in text, name
