"""Pictures of cases: what the models saw, and what their predictions rest on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

from lsdc.challenges.lumbar.explain.attention import SampleExplanation, mean_explanation
from lsdc.challenges.lumbar.explain.montage import draw_montage
from lsdc.challenges.lumbar.explain.samples import explain_run, predicting
from lsdc.challenges.lumbar.explain.slots import SampleName, Slot, read_slots
from lsdc.challenges.lumbar.explain.trained import NamedRun, Sample, TrainedRun
from lsdc.challenges.lumbar.report.study import StudyResults
from lsdc.challenges.lumbar.slices.slots import Part
from lsdc.challenges.lumbar.vocabulary import Condition, SeriesDescription
from lsdc.report.drawing import encode_webp

_STUDIES_AT_ONCE = 4  # kept in memory, as cases of one study mostly follow one another


class Case(NamedTuple):
    """One graded condition of one level of a study, a row of the out-of-fold table."""

    study_id: int
    level: str
    condition: str


@dataclass(frozen=True)
class SliceSeen:
    """A slot of a case's sample, in the model's order.

    Attributes:
        kind: the kind of series that the slot is for.
        part: the part of the level that the slot is for.
        series_id, instance_number: the slice; None in an empty slot.
        offset_mm: the slice's distance from the level point, positive to the patient's left
            (sagittal) or to the head (axial); None in an empty slot.
        weight: how much the slice counts, from 0 to 1; the weights of a case sum to 1.
    """

    kind: SeriesDescription
    part: Part
    series_id: int | None
    instance_number: int | None
    offset_mm: float | None
    weight: float


@dataclass(frozen=True)
class CasePicture:
    """The picture of a case.

    Attributes:
        image: a WebP of at most about 60 kB: all slots with points, directions, the line of the
            slice in the other direction, weights as bars and the map in red.
        width, height: its size in pixels.
        slices: its slots in order.
        folds: the folds whose models were used; with several, weights and maps are their means.
        has_attention: whether the weights are those of the attention pooling; else they are the
            slices' shares of the sum of all maps. See `lsdc.training.explanation`.
        strongest: the largest value of the maps, drawn in the deepest red if it is above 1 %.
    """

    image: bytes
    width: int
    height: int
    slices: tuple[SliceSeen, ...]
    folds: tuple[int, ...]
    has_attention: bool
    strongest: float


def draw_cases(
    run: NamedRun,
    cases: Sequence[Case],
    *,
    device: str = "auto",
    threads: int | None = None,
) -> Iterator[CasePicture]:
    """Yield the picture of each case, in order; see `lsdc.training.explanation.explain`.

    A study of a fold is explained by the model of that fold, which was not trained on it, and a
    study in no fold by all models. With crops.by_side, the canal, which the samples of both sides
    predict, is explained by the left one.

    Args:
        run: the run, finished or with trained folds.
        cases: the cases; those of the same level of a study cost hardly more than one.
        device: the device to compute on.
        threads: number of torch's threads; None means as set in the environment.

    Raises:
        DataError: the run, a study, its crops or the model of its fold is missing.
        StageError: the child process died, or the weights do not fit the run's settings.
    """
    trained = TrainedRun(run.home, run.name)
    by_side = trained.experiment.crops.by_side
    heads = [predicting(Condition(case.condition), by_side=by_side)[0] for case in cases]
    samples = [
        Sample(case.study_id, case.level, side)
        for case, (side, _) in zip(cases, heads, strict=True)
    ]
    explained = explain_run(trained, samples, device=device, threads=threads)
    gather = lru_cache(maxsize=_STUDIES_AT_ONCE)(partial(_gather, trained))
    for case, sample, (_, head) in zip(cases, samples, heads, strict=True):
        study, slots = gather(case.study_id)
        own = slots[sample.level, sample.side]
        yield _draw_case(case, study, own, explained[sample], head)


def _gather(
    trained: TrainedRun, study_id: int
) -> tuple[StudyResults, dict[SampleName, tuple[Slot, ...]]]:
    study = trained.gather(study_id)
    return study, read_slots(study, trained.experiment)


def _draw_case(
    case: Case,
    study: StudyResults,
    slots: Sequence[Slot],
    by_fold: Mapping[int, SampleExplanation],
    head: int,
) -> CasePicture:
    mean = mean_explanation(list(by_fold.values()))
    weights, maps = mean.weights[head], mean.maps[head]
    folds = tuple(by_fold)
    sheet = draw_montage(
        slots,
        study.marks,
        weights,
        maps,
        level=case.level,
        condition=Condition(case.condition),
        words=_describe_bars(folds, has_attention=mean.has_attention),
    )
    return CasePicture(
        image=encode_webp(sheet),
        width=sheet.width,
        height=sheet.height,
        slices=tuple(map(_seen, slots, weights.tolist())),
        folds=folds,
        has_attention=mean.has_attention,
        strongest=float(maps.max()),
    )


def _describe_bars(folds: tuple[int, ...], *, has_attention: bool) -> str:
    of = f"of fold {folds[0]}" if len(folds) == 1 else f"(mean of {len(folds)} folds)"
    what = "attention" if has_attention else "share of all effects"
    return f"Blue: {what} {of}. Distances in mm from the level point."


def _seen(slot: Slot, weight: float) -> SliceSeen:
    return SliceSeen(
        kind=slot.description,
        part=slot.place.part,
        series_id=slot.series_id,
        instance_number=slot.instance_number,
        offset_mm=slot.offset_mm,
        weight=weight,
    )
