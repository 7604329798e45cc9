"""The Kubernetes template and the image, as far as they can be tested without a cluster."""

import re
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import lsdc
from tests.commands import load_command

ROOT = Path(lsdc.__file__).parents[1]
DOCKERFILE = (ROOT / "deployments/Dockerfile").read_text()
ITEMS = yaml.safe_load((ROOT / "deployments/kubernetes.yaml").read_text())["items"]
PODS = {
    item["metadata"]["name"]: item["spec"]["template"]["spec"]
    for item in ITEMS
    if item["kind"] == "Deployment"
}
# The secret that the template's comments describe.
SECRET = {"database-url", "auth"}


def container(name: str) -> dict[str, Any]:
    (only,) = PODS[name]["containers"]
    return only


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item["metadata"]["name"])
@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_template_is_valid_for_kubernetes(item: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("name", PODS)
def test_pods_run_lsdc_commands_in_our_image(name: str) -> None:
    command, *arguments = container(name)["args"]
    load_command(command).make_context(command, arguments)
    assert container(name)["image"] == f"lsdc:{lsdc.__version__}"
    assert PODS[name]["securityContext"]["runAsUser"] == int(
        re.search(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)[1]
    )


@pytest.mark.parametrize("name", PODS)
def test_pods_share_the_home_and_refer_to_secrets_by_name(name: str) -> None:
    (home,) = re.findall(r"LSDC_HOME=(\S+)", DOCKERFILE)
    mounts = {mount["mountPath"]: mount["name"] for mount in container(name)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in PODS[name]["volumes"]}
    claim = volumes[mounts[home]]["persistentVolumeClaim"]["claimName"]
    assert [item["kind"] for item in ITEMS if item["metadata"]["name"] == claim] == [
        "PersistentVolumeClaim"
    ]
    for variable in container(name)["env"]:
        if variable["name"] not in ("PREFECT_API_URL", "LSDC_THREADS"):
            assert variable["valueFrom"]["secretKeyRef"]["name"] == "lsdc"
            assert variable["valueFrom"]["secretKeyRef"]["key"] in SECRET


@pytest.mark.parametrize("name", ["lsdc-cpu", "lsdc-gpu"])
def test_workers_have_one_thread_per_requested_core(name: str) -> None:
    told = {variable["name"]: variable.get("value") for variable in container(name)["env"]}
    assert told["LSDC_THREADS"] == container(name)["resources"]["requests"]["cpu"]


def test_only_gpu_workers_have_a_gpu_each() -> None:
    gpus = {name: container(name)["resources"].get("limits", {}) for name in PODS}
    assert gpus == {"lsdc-head": {}, "lsdc-cpu": {}, "lsdc-gpu": {"nvidia.com/gpu": 1}}


def test_image_has_all_files_that_the_package_is_built_from() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    needed = {package.rstrip("*") for package in packages} | {"pyproject.toml", "constraints.txt"}
    needed |= {project["project"]["readme"], *project["project"]["license-files"]}
    copied = set()
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        copied.update(line.split()[:-1])
    assert copied == needed
