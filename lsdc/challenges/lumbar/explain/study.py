"""Explain a study: every fold's predictions, what they rest on, and how its levels were found."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lsdc.challenges.lumbar.explain.attention import SampleExplanation, mean_explanation
from lsdc.challenges.lumbar.explain.samples import explain_run, predicting
from lsdc.challenges.lumbar.explain.slots import SampleName, Slot, read_slots
from lsdc.challenges.lumbar.explain.trained import Sample, TrainedRun
from lsdc.challenges.lumbar.report.study import StudyResults
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS, Condition
from lsdc.training.process import OnEvent, ignore

Floats = npt.NDArray[np.float64]

_DIGITS = 5  # of the maps as JSON


@dataclass(frozen=True)
class FoundLevel:
    """How a level point was found.

    Attributes:
        level: the level.
        source: predicted, annotated or filled, as in the table of points; None if the level is
            outside every image and has no point.
        found_by: the same in words, with the fold of the keypoint nets.
        confidence: confidence in the point from 0 to 1; None without a point.
    """

    level: str
    source: str | None
    found_by: str
    confidence: float | None


@dataclass(frozen=True)
class ExplainedCase:
    """The predictions of one condition of one level, and what they rest on.

    Attributes:
        level, condition: the case.
        label: its grade, from 0; None if there is none.
        by_fold: (3,) probabilities by fold.
        slots: the slots of the sample that explains it.
        weights: (slots,), the mean over the folds; see `lsdc.training.explanation.Explanation`.
        maps: (slots, cells, cells), likewise.
        told: (slots,) probability that the slot has the annotated slice, likewise; None if the
            model does not tell it.
    """

    level: str
    condition: Condition
    label: int | None
    by_fold: dict[int, Floats]
    slots: tuple[Slot, ...]
    weights: Floats
    maps: Floats
    told: Floats | None

    @property
    def mean(self) -> Floats:
        """The mean (3,) of the folds' probabilities, which a submission holds."""
        mean: Floats = np.mean(list(self.by_fold.values()), axis=0)
        return mean

    @property
    def spread(self) -> Floats | None:
        """The standard deviation (3,) of the folds' probabilities; None for a single fold."""
        if len(self.by_fold) == 1:
            return None
        spread: Floats = np.std(list(self.by_fold.values()), axis=0)
        return spread

    @property
    def most(self) -> int:
        """The number of the slot with the greatest weight."""
        return int(self.weights.argmax())

    def weight_of_part(self, number: int) -> float:
        """Return the sum of the weights of the slots of the same part and kind as a slot."""
        place = self.slots[number].place
        same = [
            (slot.place.description, slot.place.part) == (place.description, place.part)
            for slot in self.slots
        ]
        return float(self.weights[same].sum())


@dataclass(frozen=True)
class StudyExplanation:
    """The explanation of a study.

    Attributes:
        run: the name of the run.
        study: the study's results.
        folds: the folds that predict it: its own, or all if it is in none.
        in_fold: the fold that holds it; None for a test study, or one held out of all folds.
        has_attention: whether weights are those of the attention pooling.
        levels: how each level was found.
        extra_vertebra: whether a sixth lumbar vertebra, or a missing sacrum, makes names doubtful.
        disputed: the levels that sagittal and axial images place differently.
        cases: all graded conditions of the levels with crops.
    """

    run: str
    study: StudyResults
    folds: tuple[int, ...]
    in_fold: int | None
    has_attention: bool
    levels: tuple[FoundLevel, ...]
    extra_vertebra: bool
    disputed: tuple[str, ...]
    cases: tuple[ExplainedCase, ...]

    @property
    def predicted_by(self) -> str:
        """The folds that predict the study, in words."""
        if self.in_fold is not None:
            return f"fold {self.in_fold}, which was not trained on it"
        names = ", ".join(map(str, self.folds))
        return f"fold {names}" if len(self.folds) == 1 else f"mean of folds {names}"

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values; probabilities are by grade, positions of maps by rows."""
        return {
            "study_id": self.study.study_id,
            "run": self.run,
            "split": self.study.split,
            "fold": self.in_fold,
            "folds": list(self.folds),
            "weights": "attention" if self.has_attention else "shares of the maps",
            "extra_vertebra": self.extra_vertebra,
            "disputed_levels": list(self.disputed),
            "levels": [vars(level) for level in self.levels],
            "cases": [_case_as_dict(case) for case in self.cases],
        }


def explain_study(
    run: TrainedRun,
    study_id: int,
    *,
    device: str = "auto",
    threads: int | None = None,
    on_event: OnEvent = ignore,
) -> StudyExplanation:
    """Explain a study by the folds that were not trained on it.

    Args:
        run: the run.
        study_id: the study's id.
        device: the device to compute on.
        threads: number of torch's threads; None means as set in the environment.
        on_event: receives the progress of each fold.

    Raises:
        DataError: the study, its crops or the model of its fold is missing.
        StageError: the child process died, or the weights do not fit the run's settings.
    """
    study = run.gather(study_id)
    slots = read_slots(study, run.experiment)
    graded = [name for name in slots if name[0] in run.experiment.labels.levels]
    samples = [Sample(study_id, *name) for name in graded or slots]
    explained = explain_run(run, samples, device=device, threads=threads, on_event=on_event)
    by_fold = explained[samples[0]]
    in_fold = run.fold_of.get(study_id) if study.split == "train" else None
    spine = run.table("spines").filter(study_id=study_id, split=study.split)
    return StudyExplanation(
        run=run.name,
        study=study,
        folds=tuple(by_fold),
        in_fold=in_fold,
        has_attention=next(iter(by_fold.values())).has_attention,
        levels=tuple(found_levels(study, in_fold)),
        extra_vertebra=bool(spine["extra_vertebra"].any()),
        disputed=tuple(" ".join(spine["disputed_levels"]).split()),
        cases=tuple(_cases(run, study, slots, explained)),
    )


def _cases(
    run: TrainedRun,
    study: StudyResults,
    slots: Mapping[SampleName, tuple[Slot, ...]],
    explained: Mapping[Sample, Mapping[int, SampleExplanation]],
) -> Iterator[ExplainedCase]:
    graded, by_side = run.experiment.labels, run.experiment.crops.by_side
    labels = _labels(run, study)
    present = {level for level, _ in slots}
    for level in [each for each in LEVELS if each in present and each in graded.levels]:
        for condition in [each for each in CONDITIONS if each in graded.conditions]:
            heads = [
                (Sample(study.study_id, str(level), side), head)
                for side, head in predicting(condition, by_side=by_side)
            ]
            sample, head = heads[0]
            mean = mean_explanation(list(explained[sample].values()))
            yield ExplainedCase(
                level=str(level),
                condition=condition,
                label=labels.get((str(level), str(condition))),
                by_fold={
                    fold: np.mean([explained[s][fold].probabilities[h] for s, h in heads], axis=0)
                    for fold in explained[sample]
                },
                slots=slots[sample.level, sample.side],
                weights=mean.weights[head],
                maps=mean.maps[head],
                told=None if mean.told is None else mean.told[head],
            )


def _labels(run: TrainedRun, study: StudyResults) -> dict[tuple[str, str], int]:
    """Return the grades of a training study by level and condition."""
    if study.split == "test":
        return {}
    graded = [run.table(name) for name in ("labels", "holdout")]
    rows = [
        table.filter(study_id=study.study_id).select("level", "condition", "grade")
        for table in graded
        if "grade" in table.columns
    ]
    return {
        (level, condition): int(grade)
        for table in rows
        for level, condition, grade in table.drop_nulls().iter_rows()
    }


def found_levels(study: StudyResults, in_fold: int | None) -> Iterator[FoundLevel]:
    """Yield how each level of a study was found; `in_fold` is the fold that holds the study."""
    nets = "all folds (median)" if in_fold is None else f"fold {in_fold}"
    points = {row["level"]: row for row in study.points.iter_rows(named=True)}
    is_typical = all(row["source"] == "filled" for row in points.values())
    filled = "typical place in the training studies" if is_typical else "places of other levels"
    words = {
        "predicted": f"keypoint nets of {nets}",
        "annotated": "annotation",
        "filled": filled,
    }
    for level in map(str, LEVELS):
        if level in points:
            source = points[level]["source"]
            yield FoundLevel(level, source, words[source], points[level]["confidence"])
        else:
            yield FoundLevel(level, None, "not found in any image", None)


def _case_as_dict(case: ExplainedCase) -> dict[str, Any]:
    return {
        "level": case.level,
        "condition": str(case.condition),
        "label": None if case.label is None else str(GRADES[case.label]),
        "mean": _by_grade(case.mean),
        "spread": None if case.spread is None else _by_grade(case.spread),
        "folds": {str(fold): _by_grade(found) for fold, found in case.by_fold.items()},
        "strongest": float(case.maps.max()),
        "slots": [
            {
                "series": str(slot.description),
                "part": str(slot.place.part),
                "series_id": slot.series_id,
                "instance_number": slot.instance_number,
                "offset_mm": slot.offset_mm,
                "weight": float(weight),
                **({} if case.told is None else {"told": float(case.told[number])}),
                "map": np.round(own, _DIGITS).tolist(),
            }
            for number, (slot, weight, own) in enumerate(
                zip(case.slots, case.weights, case.maps, strict=True)
            )
        ],
    }


def _by_grade(values: Floats) -> dict[str, float]:
    return {str(grade): float(value) for grade, value in zip(GRADES, values, strict=True)}
