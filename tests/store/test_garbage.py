"""Garbage is what lsdc made and no run uses, except trained folds."""

from pathlib import Path

import pytest

from lsdc.errors import DataError
from lsdc.store.garbage import find_garbage, pin_results, pin_so_far, pinned_results, remove
from lsdc.store.home import Home, open_home
from lsdc.store.manifest import Manifest
from lsdc.store.put_aside import claim_fold

KEPT, OLD = "a" * 16, "b" * 16


@pytest.fixture
def home(tmp_path: Path) -> Home:
    opened = open_home(tmp_path / "home")
    for name in (f"index/{KEPT}", f"index/{OLD}", f"crops/{OLD}"):
        (opened.root / name).mkdir(parents=True)
        (opened.root / name / "file").write_text("1234")
    kept = Manifest(stage="index", path=f"index/{KEPT}", digest="", rows=0, files=())
    pin_results(opened, "demo", [kept])
    return opened


def found(home: Home, **options: object) -> dict[str, int]:
    items = find_garbage(home, **options)  # type: ignore[arg-type]
    return {item.path.relative_to(home.root).as_posix(): item.bytes for item in items}


def test_garbage_is_what_no_run_uses(home: Home) -> None:
    (home.root / "crops" / ".writing-x").mkdir()
    (home.root / "crops" / ".writing-x" / ".writing-y.npy").write_text("12")
    assert found(home) == {"crops/.writing-x": 2, f"crops/{OLD}": 4, f"index/{OLD}": 4}


def test_removed_run_is_deleted_with_results_that_only_it_uses(home: Home) -> None:
    shared = Manifest(stage="crops", path=f"crops/{OLD}", digest="", rows=0, files=())
    own = Manifest(stage="index", path=f"index/{OLD}", digest="", rows=0, files=())
    pin_results(home, "mine", [shared])
    pin_results(home, "demo@x", [shared, own])
    assert found(home) == {}
    assert list(found(home, removed=["demo@x"])) == [f"index/{OLD}", "runs/demo@x"]


def result(path: str) -> Manifest:
    return Manifest(stage=path.split("/")[0], path=path, digest="", rows=0, files=())


def test_a_removed_run_that_another_one_uses_says_so(home: Home) -> None:
    pin_results(home, "both", [result("runs/demo/fold-0"), result("runs/demo/fold-1")])
    (item,) = [each for each in find_garbage(home, removed=["demo"]) if each.path.name == "demo"]
    assert item.why == "named for removal, but used by both, which cannot predict without it"
    removed = find_garbage(home, removed=["demo", "both"])
    assert {each.why for each in removed if each.path.parent == home.runs} == {"named for removal"}


def test_results_of_an_unfinished_run_are_kept_until_it_finishes(home: Home) -> None:
    pin_so_far(home, "demo", [result(f"index/{OLD}")])
    pin_so_far(home, "demo", [result(f"crops/{OLD}")])
    assert found(home) == {}
    assert pinned_results(home, "demo") == [home.root / f"index/{KEPT}"]  # of its last finished run
    pin_results(home, "demo", [result(f"index/{OLD}")])
    assert list(found(home)) == [f"crops/{OLD}", f"index/{KEPT}"]


def test_results_of_test_studies_are_kept_if_only_training_is_repeated(home: Home) -> None:
    pin_results(
        home, "demo", [result(f"index/{KEPT}"), result(f"index/{OLD}"), result(f"crops/{OLD}")]
    )
    pin_results(home, "demo", [result(f"index/{KEPT}")])
    assert found(home) == {}


def test_superseded_trained_folds_are_kept_unless_requested(home: Home) -> None:
    for fold, left in ((0, "fit.json"), (1, "resume.pt"), (2, "pause")):
        (claim_fold(home, "demo", fold, "c" * 64, say=print) / left).write_text("")
        claim_fold(home, "demo", fold, "d" * 64, say=print)
    aside = [f"replaced/demo-fold-{fold}-{'c' * 16}" for fold in range(3)]
    assert set(found(home)).intersection(aside) == {aside[2]}
    assert set(found(home, put_aside=True)).intersection(aside) == set(aside)


def test_foreign_files_and_targets_of_links_are_never_deleted(home: Home, tmp_path: Path) -> None:
    before = found(home)
    precious = tmp_path / "precious"
    (precious / "fold-0").mkdir(parents=True)
    (precious / ".writing-mine").write_text("1")
    for link in ("shards/x", f"crops/{'c' * 16}", "runs/linked", f"replaced/demo-fold-0-{OLD}"):
        (home.root / link).parent.mkdir(exist_ok=True)
        (home.root / link).symlink_to(precious)
    (home.root / "sides").symlink_to(precious)
    (home.root / "crops" / "my-notes").mkdir()
    assert found(home) == before
    for item in find_garbage(home, put_aside=True, removed=["linked"]):
        remove(item.path)
    assert sorted(path.name for path in precious.iterdir()) == [".writing-mine", "fold-0"]
    assert not (home.runs / "linked").exists()


def test_unreadable_record_of_results_stops_the_search(home: Home) -> None:
    (home.run("demo") / "rests-on.json").write_text("{")
    with pytest.raises(DataError, match=r"rests-on\.json: expected a list of results"):
        find_garbage(home)
