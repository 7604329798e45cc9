"""Cards of cases, and the table of cases."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from lsdc.challenges.hemorrhage.report.figures import chosen
from lsdc.challenges.hemorrhage.report.figures.scored import Scored
from lsdc.challenges.hemorrhage.report.page.content import Content
from lsdc.challenges.hemorrhage.report.words import HEIGHT_NAMES, LABEL_NAMES, PRESENCE
from lsdc.challenges.hemorrhage.scoring.metric import PARTS
from lsdc.report import numbers
from lsdc.report.blocks import CaseCard
from lsdc.report.cases import CasePredictions, Cases, Facet
from lsdc.report.pictures import Pictures


def make_cards(
    content: Content, cases: chosen.Cases, pictures: Pictures | None = None
) -> list[CaseCard]:
    """Return a card for each case, with the predictions of all sources."""
    return [
        _card(content, int(image), int(label), pictures or {})
        for image, label in zip(cases.images, cases.labels, strict=True)
    ]


def _card(content: Content, image: int, label: int, pictures: Pictures) -> CaseCard:
    first, part = content.first, PARTS[label]
    row = first.rows.row(image, named=True)
    present = int(first.labels[image, label])
    bars = [_of_both(float(each.probabilities[image, label])) for each in content.scored]
    share = float(first.costs[image, label]) / first.score.score
    picture = pictures.get(row["image_id"])
    where = (
        f"slice {row['slice']} of {row['slices']}, study {row['study_id']}"
        if first.has_places
        else f"image {row['image_id']}"
    )
    return CaseCard(
        key="_".join(_key(row, part, has_places=first.has_places)),
        title=f"{LABEL_NAMES[part]}, {where}",
        facts=f"labelled {PRESENCE[present]}, predicted with {100 * bars[0][present]:.1f}\u00a0%: "
        f"{numbers.percent(share)} of the score",
        label=present,
        bars=bars,
        picture=None if picture is None else (picture.image, picture.width, picture.height),
        seen=() if picture is None else picture.seen,
    )


def make_cases(content: Content) -> Cases:
    """Return the table of cases, in the order of the first source's images."""
    first, cases = content.first, chosen.tabled_cases(content.first)
    rows = first.rows[cases.images]
    by = "study_id" if first.has_places else "image_id"
    groups = rows[by].unique(maintain_order=True).to_list()
    numbered = {group: number for number, group in enumerate(groups)}
    facets, values = _facets(first, cases, rows)
    places = (cases.images, cases.labels)
    return Cases(
        group_name="Study" if first.has_places else "Image",
        groups=groups,
        group=[numbered[group] for group in rows[by]],
        facets=facets,
        values=values,
        classes=PRESENCE,
        labels=first.labels[places].tolist(),
        predictions=[
            CasePredictions(
                name=each.name,
                probabilities=np.stack(_both(each.probabilities[places])).tolist(),
                losses=each.losses[places].tolist(),
                shares=(each.costs[places] / each.score.score).tolist(),
            )
            for each in content.scored
        ],
        apart=2 if first.has_places else 1,
        are_all=len(cases) == first.costs.size,
    )


def _facets(
    first: Scored, cases: chosen.Cases, rows: pl.DataFrame
) -> tuple[list[Facet], list[list[int]]]:
    """Return the facets of the table, and the number of each case's value."""
    label = Facet("Haemorrhage", "kind", PARTS, tuple(LABEL_NAMES.values()))
    facets, values = [label], [cases.labels.tolist()]
    if first.has_places:
        most = max(first.rows["slices"].to_list())
        ids = tuple(map(str, range(1, most + 1)))
        facets.insert(0, Facet("Slice", "slice", ids, tuple(f"slice {each}" for each in ids)))
        values.insert(0, (rows["slice"] - 1).to_list())
        heights = tuple(map(str, range(1, len(HEIGHT_NAMES) + 1)))
        facets.append(Facet("Height", "height", heights, HEIGHT_NAMES))
        values.append(first.heights[cases.images].tolist())
    if first.folds:
        texts = tuple(map(str, first.folds))
        places = {fold: number for number, fold in enumerate(first.folds)}
        facets.append(Facet("Fold", "fold", texts, texts))
        values.append([places[fold] for fold in rows["fold"]])
    return facets, values


def _key(row: Mapping[str, object], part: str, *, has_places: bool) -> list[str]:
    """Return the parts of a case's key, as the page's script joins them."""
    if has_places:
        return [str(row["study_id"]), str(row["slice"]), part]
    return [str(row["image_id"]), part]


def _of_both(present: float) -> tuple[float, float]:
    return 1 - present, present


def _both(present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 1 - present, present
