"""A run's parameters: each declared once, with its type, default, bounds and description.

The parameters of flows, the run form of Prefect's UI, the options of `lsdc run-local` and
`lsdc trigger`, and docs/reference/parameters.md are generated from these declarations.
"""

import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic.fields import FieldInfo

from lsdc.errors import SettingsError
from lsdc.experiments.presets import AUTO
from lsdc.experiments.reference import describe_type, typed

MAX_HOLDOUT = 0.5
MOST_IMAGES = 200  # in a report, of about 60 kB each
MAX_SEED = 2**32 - 1  # scikit-learn's limit

Device = Literal["auto", "cpu", "cuda"]
Annotations = Literal["raw", "clean"]
Result = TypeVar("Result")


def _field(
    default: Any, description: str, *, unset: str = "", own: bool = False, **bounds: Any
) -> Any:
    """Declare a parameter.

    Args:
        default: the value if none is given.
        description: the description, a sentence.
        unset: what happens without a value, if the default does not show it.
        own: whether it means something only to challenges whose runs name it (see `Run`).
        bounds: bounds for pydantic's field.
    """
    extra: dict[str, JsonValue] = {"unset": unset, "sent": False, "own": own}
    return Field(default, description=description, json_schema_extra=extra, **bounds)


def sent_field(default: Any, description: str, *, unset: str = "") -> Any:
    """Declare a parameter that lsdc sets when one run starts another; users do not set it."""
    extra: dict[str, JsonValue] = {"unset": unset, "sent": True, "own": False}
    return Field(default, description=description, json_schema_extra=extra)


class RunOptions(BaseModel):
    """The options of a run that do not depend on its data or experiment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folds: int = _field(4, "Number of cross-validation folds.", ge=2)
    only_fold: int | None = _field(
        None,
        (
            "Train only this fold, counted from 0. If other folds are missing, the scores are "
            "marked partial."
        ),
        unset="all folds",
        ge=0,
    )
    holdout: float = _field(
        0.0,
        "Fraction of the studies to keep out of all folds; they are scored separately.",
        ge=0,
        le=MAX_HOLDOUT,
    )
    weights: Path | None = _field(
        None,
        "File or folder with pretrained weights.",
        unset="download from the Hugging Face Hub, or its local cache",
    )
    seed: int = _field(0, "Random seed for the folds and for training.", ge=0, le=MAX_SEED)
    device: Device = _field("auto", "Device that models are trained on.")
    processes: int = _field(
        1,
        (
            "Processes that train each fold together (data parallelism, PyTorch's DDP), each on a "
            "GPU of its own if there are enough. Results are equal to rounding."
        ),
        ge=1,
    )
    threads: int | None = _field(
        None, "CPU threads that the run may use.", unset="one per core", ge=1
    )
    limit: int | None = _field(None, "Use only the first N training studies.", unset="all", ge=1)
    annotations: Annotations = _field(
        "clean",
        (
            "raw: use the annotated points without changes; clean: fix or drop points that are "
            "provably wrong. A challenge without annotated points refuses raw."
        ),
        own=True,
    )
    max_bad: float = _field(
        0.01,
        (
            "Stop if more than this fraction of the training files, and at least 10 of them, "
            "cannot be used."
        ),
        ge=0,
        le=1,
    )
    strict: bool = _field(
        False,
        (
            "Stop if a study has no usable image, a training study has no labels, or a row of the "
            "test table is invalid. By default the run continues."
        ),
    )

    images: int | None = _field(
        None,
        (
            "Number of cases that the run's report shows with images; 60 take about a minute on "
            "two cores."
        ),
        unset="LSDC_IMAGES, else 12",
        ge=0,
        le=MOST_IMAGES,
    )

    @model_validator(mode="after")
    def _check_fold(self) -> Self:
        return self._require_fold("--only-fold", self.only_fold)

    def _require_fold(self, option: str, fold: int | None) -> Self:
        if fold is not None and fold >= self.folds:
            raise ValueError(
                f"{option} {fold}: expected 0 to {self.folds - 1} of {self.folds} folds"
            )
        return self


class RunRequest(RunOptions):
    """The parameters of a run."""

    experiment: str = _field(
        AUTO,
        (
            "Experiment to run: the name of a preset. auto: a small one on the phantom; on other "
            "data the best one for the device, which the run names."
        ),
    )
    settings: tuple[str, ...] = _field(
        (),
        "Changed settings of the experiment, each as KEY=VALUE, such as training.epochs=2.",
        unset="none",
    )
    data: Path | None = _field(
        None,
        "Folder of the competition's data, or 'phantom' for synthetic data.",
        unset="phantom, in a home without other data",
    )
    home: Path | None = _field(
        None, "Folder where results are kept.", unset="LSDC_HOME, else ./lsdc-home"
    )
    resolved: dict[str, Any] | None = sent_field(
        None,
        "The settings of the experiment, as found on the machine that started the run.",
        unset="read from the presets by name",
    )

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Validate parameters and return them as a request.

        Raises:
            SettingsError: a value out of bounds, or values that cannot go together.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            raise SettingsError(_explain(cls, error)) from None


class SentRequest(RunRequest):
    """The parameters of a run that trains for another run."""

    versions: dict[str, str] | None = sent_field(
        None,
        (
            "Versions of lsdc and its libraries in the parent run. A worker with other versions "
            "refuses to train."
        ),
        unset="not compared",
    )


class FoldRequest(SentRequest):
    """The parameters of a run that trains one fold."""

    fold: int = _field(0, "Fold to train, counted from 0 (only for train-fold).", ge=0)

    @model_validator(mode="after")
    def _check_this_fold(self) -> Self:
        return self._require_fold("--fold", self.fold)


Request = TypeVar("Request", bound=RunRequest)

_PAGE = """# Parameters of a run
The flows have these parameters (`prefect deployment run FLOW/NAME --param NAME=VALUE`).
`lsdc run-local` and `lsdc trigger` have them as options; `settings` is the option `--set`. The
option `--home` of `lsdc trigger` is different: it only selects the server. Only `train-fold` has
`fold`. `submit` and `train-fold` do not have `only_fold`; `prepare` and `train-coordinates` have
neither `only_fold` nor `weights`. You never set the last two, `versions` and `resolved`: lsdc sets
them when it starts a run.
This page is generated from the declarations in `tasks/request.py`:
`python -m tasks.request > docs/reference/parameters.md`.

| parameter | type | default | description |
|---|---|---|---|"""


def parameters_of(model: type[RunRequest], without: Collection[str] = ()) -> dict[str, FieldInfo]:
    """Return the declared parameters in the order in which they are shown.

    Those of a subclass come before inherited ones, and those that lsdc sets itself come last.

    Args:
        model: the class of the requests.
        without: names to leave out.

    >>> list(parameters_of(FoldRequest, without=["data"]))[:4]
    ['fold', 'experiment', 'settings', 'home']
    """
    names: list[str] = []
    for each in model.mro():
        names += [
            name
            for name in inspect.get_annotations(each)
            if name in model.model_fields and name not in names
        ]
    fields = {name: model.model_fields[name] for name in names if name not in without}
    return dict(sorted(fields.items(), key=lambda item: bool(_extra(item[1])["sent"])))


def sent_names(model: type[RunRequest]) -> list[str]:
    """Return the names of the parameters that lsdc sets when one run starts another."""
    return [name for name, field in model.model_fields.items() if _extra(field)["sent"]]


def require_own(given: Mapping[str, Any], own: Collection[str], challenge: str) -> None:
    """Refuse a parameter of other challenges, unless its value is the default.

    Args:
        given: the parameters of a run.
        own: the names of those that only some challenges have, this one among them.
        challenge: the name of the challenge.

    Raises:
        SettingsError: another challenge's parameter is given.
    """
    for name, field in RunOptions.model_fields.items():
        value = given.get(name, field.default)
        if _extra(field)["own"] and name not in own and value != field.default:
            raise SettingsError(
                f"--{name.replace('_', '-')} {value}: the challenge {challenge} has no such "
                f"parameter, expected {field.default}, the default; leave it out"
            )


def unset_means(field: FieldInfo) -> str:
    """Return what happens without a value, if the default does not show it; else ""."""
    return str(_extra(field)["unset"])


def describe(field: FieldInfo) -> str:
    """Return the parameter's description and what happens without a value."""
    unset = unset_means(field)
    return f"{field.description} Default: {unset}." if unset else str(field.description)


def flow_parameters(
    model: type[Request], without: Collection[str] = ()
) -> Callable[[Callable[[Request], Result]], Callable[..., Result]]:
    """Return a decorator for flows: the flow takes these parameters, its function one request.

    Prefect reads the flow's parameters from its signature, and their descriptions from its
    docstring; both are made here.

    Args:
        model: the class of the requests.
        without: parameters that the flow does not take; they keep their defaults.

    >>> flow = flow_parameters(FoldRequest, without=["seed"])(lambda request: request.fold)
    >>> flow(fold=2), "seed" in inspect.signature(flow).parameters
    (2, False)
    """
    fields = parameters_of(model, without)

    def decorate(body: Callable[[Request], Result]) -> Callable[..., Result]:
        @wraps(body)
        def flow(**given: Any) -> Result:
            return body(model.of(**given))

        flow.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=field.default,
                    annotation=_annotation(field),
                )
                for name, field in fields.items()
            ],
            return_annotation=inspect.signature(body).return_annotation,
        )
        lines = [f"    {name}: {describe(field)}" for name, field in fields.items()]
        flow.__doc__ = "\n".join([inspect.getdoc(body) or "", "", "Args:", *lines])
        return flow

    return decorate


def _annotation(field: FieldInfo) -> Any:
    bare: Any = field.annotation
    for each in field.metadata:
        bare = Annotated[bare, each]
    return bare


def _extra(field: FieldInfo) -> Mapping[str, Any]:
    extra = field.json_schema_extra
    assert isinstance(extra, dict)
    return extra


def _explain(model: type[RunRequest], error: ValidationError) -> str:
    """Return the first validation error as one line that names the option."""
    first = error.errors()[0]
    if not first["loc"]:
        return first["msg"].removeprefix("Value error, ")
    name = str(first["loc"][0])
    if name not in model.model_fields:
        return f"no parameter is called {name!r}, expected one of {', '.join(model.model_fields)}"
    got, wanted = first["input"], describe_type(model.model_fields[name])
    option = "--set" if name == "settings" else f"--{name.replace('_', '-')}"
    return f"{option} {got}: expected {wanted}"


def as_markdown() -> str:
    """Return the parameters as the Markdown of docs/reference/parameters.md."""
    rows = [
        f"| `{name}` | {describe_type(field)} | {unset_means(field) or typed(field.default)} | "
        f"{field.description} |"
        for name, field in parameters_of(FoldRequest).items()
    ]
    return "\n".join([_PAGE, *rows, ""])


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
