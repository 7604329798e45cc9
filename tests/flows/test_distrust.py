"""A run that distrusts labels, on worker pools: judges are trained first, and can be retried."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from lsdc.store.home import Home
from tests.flows.conftest import Ran, lsdc
from tests.flows.pools import installed

pytestmark = pytest.mark.slow_prefect

JUDGES = {"train-judge-0-1-demo", "train-judge-0-2-demo", "train-judge-1-2-demo"}
POINTS = {"train-coordinates-demo"}
FOLDS = {"train-fold-0-demo", "train-fold-1-demo", "train-fold-2-demo"}
# In the training child of one judge: fail once.
PLANTED = """
import sys
from pathlib import Path
if "lsdc.challenges.lumbar.training.train_fold_child" in sys.orig_argv:
    import lsdc.training.loop as loop
    from lsdc.errors import StageError
    save = loop.save_progress
    def failing(path, progress, identity):
        planted = Path(planted_once)
        if path.parent.name == "judge-0-2" and not planted.exists():
            planted.touch()
            raise StageError("planted: this judge fails once")
        save(path, progress, identity)
    loop.save_progress = failing
"""


def test_folds_learn_without_what_their_judges_doubt(ran: Ran, tmp_path: Path) -> None:
    home, site = Home(tmp_path / "home"), tmp_path / "site"
    shutil.copytree(ran.home, home.root)
    site.mkdir()
    planted = f"planted_once = {str(tmp_path / 'planted')!r}\n{PLANTED}"
    (site / "sitecustomize.py").write_text(planted)
    # A doubt of 0.51 is common after one epoch, so each fold leaves some labels out.
    asked = ("--data", ran.data, "--folds", "3", "--set", "training.epochs=1")
    with installed(home.root, site=site) as here:
        triggered = here.trigger("train-folds/default", *asked, "--set", "labels.distrust=0.51")
        assert triggered.returncode == 0, triggered.stderr
        run_id = triggered.stdout.splitlines()[0].rpartition("/")[2]
        failed = here.ended(run_id)
        assert failed["state_type"] == "FAILED"
        assert "1 of 3 trainings on lsdc-gpu failed: judge 0-2 " in failed["state"]["message"]
        assert here.children(run_id).keys() == JUDGES | POINTS

        here.retry(run_id)
        assert here.ended(run_id)["state_type"] == "COMPLETED"
        children = here.children(run_id)
    assert {name: child["run_count"] for name, child in children.items()} == {
        **dict.fromkeys(JUDGES | POINTS | FOLDS, 1),
        "train-judge-0-2-demo": 2,
    }
    judged = max(children[name]["end_time"] for name in JUDGES)
    assert judged <= min(children[name]["start_time"] for name in FOLDS)

    (run,) = {*(home.root / "runs").iterdir()} - {home.run("demo")}
    oof = pl.read_parquet(run / "oof.parquet")
    logged = "".join(path.read_text() for path in home.logs.rglob("*.log"))
    for fold in range(3):
        folder = run / f"fold-{fold}"
        doubted = pl.read_parquet(folder / "doubted.parquet")
        assert len(doubted) == json.loads((folder / "fit.json").read_text())["doubted"] > 0
        assert f"fold {fold} leaves out {len(doubted)} labels that its judges doubt" in logged
        # They are scored, each in the fold that it belongs to.
        scored = doubted.join(oof, on=("row_id", "fold", "label"), how="semi")
        assert len(scored) == len(doubted)
        assert fold not in doubted["fold"]

    other = ("--set", "labels.distrust=0.6", "--only-fold", "0")
    again = lsdc("run-local", "--home", home.root, *asked, *other)
    assert again.code == 0, again.out + again.err
    assert {again.state_of(f"judge {pair}") for pair in ("0-1", "0-2")} == {"unchanged, kept"}
