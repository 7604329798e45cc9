"""The layout of a bundle: its files, `bundle.json` and `submission.json`."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

FORM, MANIFEST, ENTRY, NOTEBOOK, REQUIREMENTS = (
    "submission.json",
    "bundle.json",
    "predict.py",
    "kaggle.ipynb",
    "requirements.txt",
)
CODE, MODELS, WHEELS = "code", "models", "wheels"
# Of a run, in its folder in `models/`.
EXPERIMENT, PRIOR = "experiment.json", "prior.csv"


class SubmissionForm(BaseModel):
    """How `predict.py` writes the prior's submission, with Python alone.

    A row id is that of an item, `_` and a cell. `models/RUN/prior.csv` has the values of each cell;
    its other columns, joined by `_`, name the cell. Without other columns, an item has one cell
    without a name, and its row id is that of the item.

    Attributes:
        samples: names of the sample submission; the first that there is counts.
        row_id: its column with the row ids.
        values: the other columns of a submission.
        items: what is predicted, in the plural, for messages.
        item: regular expression of an item.
        tables: name and column of the tables that list the items where no sample submission does.
        folders: name of the folders of the items, and regular expression of what is in them, whose
            group is the item; they are read where no table lists an item.
        expected: what a test folder has, for messages.
        otherwise: the value of each column in rows that ask for nothing that is known; text if the
            values are text.
        otherwise_as: what these rows get, in words.
    """

    model_config = ConfigDict(frozen=True)

    samples: tuple[str, ...]
    row_id: str
    values: tuple[str, ...]
    items: str
    item: str
    tables: tuple[tuple[str, str], ...] = ()
    folders: tuple[tuple[str, str], ...]
    expected: str
    otherwise: float | str
    otherwise_as: str = "equal probabilities"


class PackedFile(BaseModel):
    """A file of a bundle."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str


class PackedRun(BaseModel):
    """A run of a bundle.

    Attributes:
        name: its name, also that of its folder in `models/`.
        folds: the scored folds.
        score: its score over all folds.
        tables: digest of the training tables; None for the phantom.
        data: the folder of its data, or `phantom`.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    folds: tuple[int, ...]
    score: float | None
    tables: str | None
    data: str


class BundleManifest(BaseModel):
    """What a bundle holds.

    Attributes:
        bundle: version of the layout.
        lsdc: the version of lsdc that packed it.
        worker: the module that predicts.
        code: the fingerprint of the code in it.
        image: the machine that it is made for.
        python: the version of Python there.
        libraries: the version of each library where the bundle was packed.
        runs: the runs, whose mean is predicted unless the challenge joins them otherwise.
        files: all other files, by path.
    """

    model_config = ConfigDict(frozen=True)

    bundle: Literal[1] = 1
    lsdc: str
    worker: str
    code: str
    image: str
    python: str
    libraries: dict[str, str]
    runs: tuple[PackedRun, ...]
    files: dict[str, PackedFile]


@dataclass(frozen=True)
class Kind:
    """What all bundles of a challenge have in common.

    Attributes:
        worker: the module that predicts; it ends in `lsdc.pack.worker.main`.
        form: the form of a submission.
        competition: the folder of the competition's data in a Kaggle notebook.
        manifest: the class of the manifest.
    """

    worker: str
    form: SubmissionForm
    competition: str
    manifest: type[BundleManifest] = BundleManifest
