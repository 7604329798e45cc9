"""Train and score models for medical-imaging competitions, from raw files to a submission.

The names in `__all__` are the public interface for notebooks; all else may change without notice.

>>> import lsdc
>>> lsdc.list_runs("lsdc-home")                                # doctest: +SKIP
['demo']
>>> run = lsdc.load_run("lsdc-home", "demo")                   # doctest: +SKIP
>>> lsdc.score(run.labels, run.oof).score                      # doctest: +SKIP
0.4514
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsdc.challenges.lumbar.results import Crops, RunResults, list_runs, load_run
    from lsdc.challenges.lumbar.scoring.metric import Score, score

__version__ = "0.1.0"
__all__ = ["Crops", "RunResults", "Score", "__version__", "list_runs", "load_run", "score"]

# Imported lazily: commands and child processes import `lsdc` but need none of these.
_FROM = {
    **dict.fromkeys(
        ("Crops", "RunResults", "list_runs", "load_run"), "lsdc.challenges.lumbar.results"
    ),
    **dict.fromkeys(("Score", "score"), "lsdc.challenges.lumbar.scoring.metric"),
}


def __getattr__(name: str) -> Any:
    if name in _FROM:
        return getattr(import_module(_FROM[name]), name)
    raise AttributeError(f"module 'lsdc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
