"""The tables of the catalog, in the order of `docs/reference/catalog.md`."""

from lsdc.challenges.lumbar.competition.tables import Annotations, Holdout, Labels
from lsdc.challenges.lumbar.coordinates.errors import PointErrors
from lsdc.challenges.lumbar.coordinates.landmarks import Landmarks
from lsdc.challenges.lumbar.coordinates.moves import Moves
from lsdc.challenges.lumbar.coordinates.point_tables import Points
from lsdc.challenges.lumbar.coordinates.spines import Spines
from lsdc.challenges.lumbar.crops.frames import Frames
from lsdc.challenges.lumbar.crops.marks import Marks
from lsdc.challenges.lumbar.crops.motion import Motion
from lsdc.challenges.lumbar.crops.plan import Samples
from lsdc.challenges.lumbar.folds import Folds
from lsdc.challenges.lumbar.quality.corrections import Corrections
from lsdc.challenges.lumbar.scoring.oof import OutOfFold
from lsdc.challenges.lumbar.slices.slice_offsets import Conflicts, Slices
from lsdc.dicom_index.instance_table import Instances
from lsdc.dicom_index.other_files import OtherFiles
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.dicom_index.series import Series, Studies
from lsdc.dicom_index.twins import Twins
from lsdc.tables.table import Table

CATALOG: dict[str, type[Table]] = {
    "instances": Instances,
    "series": Series,
    "studies": Studies,
    "quarantine": Quarantine,
    "other_files": OtherFiles,
    "twins": Twins,
    "corrections": Corrections,
    "folds": Folds,
    "labels": Labels,
    "holdout": Holdout,
    "annotations": Annotations,
    "points": Points,
    "landmarks": Landmarks,
    "spines": Spines,
    "moves": Moves,
    "point_errors": PointErrors,
    "slices": Slices,
    "conflicts": Conflicts,
    "samples": Samples,
    "frames": Frames,
    "motion": Motion,
    "marks": Marks,
}

OUT_OF_FOLD: type[Table] = OutOfFold  # the file oof.parquet of a run
