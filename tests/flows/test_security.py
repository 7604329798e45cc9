"""Access to a server, planted results, and where secrets are written."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from lsdc.cli.server.process import free_port
from lsdc.store.result_index import ROOM
from tests.flows.conftest import lsdc
from tests.flows.faults import TRAINING, Undisturbed
from tests.flows.pools import SECONDS, Installation, installed
from tests.store.test_result_index import PLANTED

ELSEWHERE = "http://elsewhere.example"


def answer(
    url: str, *, headers: Mapping[str, str], body: bytes | None = None, method: str | None = None
) -> tuple[int, Mapping[str, str]]:
    """Return the status and headers of a server's answer."""
    request = urllib.request.Request(url, data=body, headers=dict(headers), method=method)
    if body is not None and "Content-Type" not in headers:
        request.add_unredirected_header(
            "Content-type", "text/plain"
        )  # as a page may send without a preflight request
    try:
        with urllib.request.urlopen(request, timeout=60) as got:
            return got.status, got.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


def test_server_listens_on_loopback_only(api: str) -> None:
    port = urlsplit(api).port
    listening = {
        each.laddr.ip
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port
    }
    assert listening == {"127.0.0.1"}


def test_pages_of_other_origins_cannot_read_answers(api: str) -> None:
    own = api.removesuffix("/api")
    asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    for origin, let_in in ((own, True), (ELSEWHERE, False)):
        _, read = answer(f"{api}/admin/version", headers={"Origin": origin})
        code, asked = answer(f"{api}/flows/", headers={"Origin": origin, **asks}, method="OPTIONS")
        allowed = origin if let_in else None
        assert read.get("Access-Control-Allow-Origin") == allowed
        assert asked.get("Access-Control-Allow-Origin") == allowed
        assert (code == 200) is let_in


def test_page_of_another_origin_cannot_change_anything_without_preflight(api: str) -> None:
    body = json.dumps({"name": "planted"}).encode()
    code, _ = answer(f"{api}/flows/", headers={"Origin": ELSEWHERE}, body=body)
    assert 400 <= code < 500
    code, _ = answer(f"{api}/flows/name/planted", headers={})
    assert code == 404


def test_planted_results_are_computed_again_and_run_no_code(ran, tmp_path: Path) -> None:
    home, made = tmp_path / "home", tmp_path / "made"
    shutil.copytree(ran.home, home)
    stages = ["folds", "annotations", "sides", "crops", "index"]
    for kind, stage in zip(PLANTED, stages, strict=True):
        records = [*(home / ROOM / stage).iterdir()]
        assert records
        for record in records:
            record.write_bytes(PLANTED[kind](made))
    # A result record of our format that names other files as the result.
    for record in (home / ROOM / "oof").iterdir():
        other = json.loads(record.read_text())
        other["files"][0]["digest"] = "0" * 64
        other["files"][0]["mtime_ns"] = 0
        record.write_text(json.dumps(other))
    outcome = lsdc("run-local", "--data", ran.data, "--home", home, "--folds", "2", api=ran.api)
    assert outcome.code == 0, outcome.out + outcome.err
    assert not made.exists()
    made_again = {"folds", "annotations", "sides train", "crops train", "index train", "oof"}
    assert made_again <= outcome.ran


def written(home: Path) -> dict[str, bytes]:
    """Return all files of a home, Prefect's database too, and its processes' command lines."""
    files = {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            files[f"process {process.pid}"] = "\0".join(process.cmdline()).encode()
    return files


@pytest.mark.slow_prefect
def test_password_of_the_server_is_not_written_anywhere(
    calm: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "5ecret-of-the-server"
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", f"lsdc:{secret}")
    home = tmp_path / "home"
    shutil.copytree(calm.home, home)
    here: Installation
    with installed(home) as here:
        code, _ = answer(f"{here.api}/admin/version", headers={})
        assert code == 401
        # The folds are trained already; Prefect keeps parameters and traceback of a failed run.
        done = here.trigger("train-folds/default", "--data", calm.data, *TRAINING, "--watch")
        assert done.returncode == 0, done.stdout + done.stderr
        failed = here.trigger("prepare/default", "--data", tmp_path / "nothing", "--watch")
        assert failed.returncode == 1, failed.stdout + failed.stderr
        # It is named after the experiment that was chosen for this machine.
        assert re.search(r"prepare-\S+: Failed \(", failed.stdout), failed.stdout
        found = [name for name, content in written(home).items() if secret.encode() in content]
    assert found == []
    said = [*here.lines, *(each for run in (done, failed) for each in (run.stdout, run.stderr))]
    assert secret not in "".join(said)


@pytest.mark.slow_prefect
def test_password_of_an_unreachable_database_is_in_no_error(tmp_path: Path) -> None:
    secret, home = "5ecret-of-the-database", tmp_path / "home"
    place = f"127.0.0.1:{free_port(None)}/name"
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "lsdc", "up", "--no-workers", "--home", str(home)),
            *("--port", str(free_port(None))),
        ],
        env=os.environ | {"LSDC_DATABASE_URL": f"postgresql://lsdc:{secret}@{place}"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert secret not in done.stdout + done.stderr
    assert [name for name, content in written(home).items() if secret.encode() in content] == []
