"""The deployment files: what can be known of them without a container engine, a cluster or a Space."""

import json
import os
import re
import runpy
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

from apps import cli
from apps.engine_command import engine_command
from model.checkpoint import DEMO_WEIGHTS
from tests.apps.serving import running

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "apps" / "deploy"
KSERVE = sorted((DEPLOY / "kserve").glob("*.yaml"))


def instructions() -> list[tuple[str, str]]:
    """The Containerfile as (INSTRUCTION, the rest), comments left out and continued lines joined."""
    lines = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    split = [line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#")]
    return [(name.upper(), rest) for name, rest in split]


def last(name: str) -> str:
    """The instruction that counts, of those that may be given once."""
    return [rest for instruction, rest in instructions() if instruction == name][-1]


def health_check() -> list[str]:
    """What a container engine would run to know whether the server is well."""
    return json.loads(last("HEALTHCHECK").partition(" CMD ")[2])


def test_everything_that_the_container_copies_is_there():
    copied = [rest.split() for name, rest in instructions() if name == "COPY"]
    sources = [source for words in copied for source in words[:-1] if "--from=build" not in words]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {"pyproject.toml", project["readme"], *project["license-files"], "constraints.txt"}
    assert needed | {"apps", "workbench", "model", "kernels"} <= set(sources)
    missing = [source for source in sources if source != "/opt/workbench" and not (ROOT / source).exists()]
    assert not missing


def test_the_container_ends_as_a_user_that_is_not_root():
    user, _, group = last("USER").partition(":")
    assert user.isdigit() and int(user) > 0 and group == "0"
    # nothing runs as another user after it
    names = [name for name, _ in instructions()]
    assert "RUN" not in names[len(names) - names[::-1].index("USER") :]


def test_the_containers_health_check_asks_the_port_it_serves():
    entry = json.loads(last("ENTRYPOINT"))
    port = entry[entry.index("--port") + 1]
    assert port == last("EXPOSE") and entry[entry.index("--host") + 1] == "0.0.0.0"
    assert f"'127.0.0.1', {port}," in health_check()[-1] and "'/health'" in health_check()[-1]


def test_the_health_check_says_yes_to_a_server_and_no_to_none(session):
    def outcome(port: int) -> int:
        program, *arguments = health_check()
        assert program == "python"
        asked = [argument.replace("8080", str(port)) for argument in arguments]
        return subprocess.run([sys.executable, *asked], capture_output=True, timeout=60).returncode

    with running(session, api_keys=("secret",)) as url:
        assert outcome(int(url.rpartition(":")[2])) == 0
    with socket.create_server(("127.0.0.1", 0)) as door:
        free = door.getsockname()[1]
    assert outcome(free) != 0


def schema() -> dict:
    return json.loads(Path(__file__).with_name("kserve.schema.json").read_text())


@pytest.mark.parametrize("file", KSERVE, ids=lambda file: file.stem)
def test_kserve_knows_every_field(file):
    jsonschema.validate(yaml.safe_load(file.read_text()), schema())


def test_a_field_that_kserve_does_not_know_is_found():
    for spoil in (
        lambda runtime: runtime["spec"]["containers"][0].update(readynessProbe={}),
        lambda runtime: runtime["spec"].update(supportedFormats=[]),
        lambda runtime: runtime["spec"]["containers"][0]["ports"][0].update(containerPort="8080"),
        lambda runtime: runtime.update(apiVersion="serving.kserve.io/v1beta1"),
    ):
        runtime = yaml.safe_load((DEPLOY / "kserve" / "workbench-runtime.yaml").read_text())
        spoil(runtime)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(runtime, schema())


@pytest.mark.parametrize("engine", ["workbench", "vllm"])
def test_a_service_and_its_runtime_belong_together(engine):
    runtime, service = (
        yaml.safe_load((DEPLOY / "kserve" / f"{engine}-{part}.yaml").read_text())
        for part in ("runtime", "service")
    )
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    formats = [known["name"] for known in runtime["spec"]["supportedModelFormats"]]
    assert model["modelFormat"]["name"] in formats
    [container] = runtime["spec"]["containers"]
    assert container["name"] == "kserve-container"  # the one that KServe fills in
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in runtime["spec"]["volumes"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert (asked["path"], asked["port"]) == ("/health", container["ports"][0]["containerPort"])


def test_vllms_runtime_has_the_flags_of_the_engine_command():
    runtime = yaml.safe_load((DEPLOY / "kserve" / "vllm-runtime.yaml").read_text())
    [container] = runtime["spec"]["containers"]
    given = container["command"] + container["args"]
    expected = engine_command("maverick", port=8080).arguments
    expected[2] = "/mnt/models"  # where KServe puts what storageUri names
    assert given == [*expected, "--served-model-name={{.Name}}"]


def test_our_runtime_gives_the_server_options_that_it_has():
    runtime = yaml.safe_load((DEPLOY / "kserve" / "workbench-runtime.yaml").read_text())
    service = yaml.safe_load((DEPLOY / "kserve" / "workbench-service.yaml").read_text())
    given = [
        *json.loads(last("ENTRYPOINT"))[1:],
        *runtime["spec"]["containers"][0]["args"],
        *service["spec"]["predictor"]["model"]["args"],
    ]
    options, rest = cli.parser().parse_known_args(given)
    assert not rest and (options.model, options.quantize, options.port) == ("/mnt/models", "int4", 8080)


def test_a_space_asks_for_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (DEPLOY / "space" / "requirements.txt").read_text().splitlines()
    asked = {line for line in lines if not line.startswith(("#", "--"))}
    left_out = {line for line in project["dependencies"] if line.startswith(("gradio>", "jupyterlab>"))}
    assert len(left_out) == 2
    differ = asked ^ (set(project["dependencies"]) - left_out)
    assert not differ, f"pyproject.toml and apps/deploy/space/requirements.txt differ in {sorted(differ)}"


def test_a_space_says_what_it_is():
    front = yaml.safe_load((DEPLOY / "space" / "README.md").read_text().split("---\n")[1])
    assert front["sdk"] == "gradio" and len(front["short_description"]) <= 60
    assert f"gradio=={front['sdk_version']}" in (ROOT / "constraints.txt").read_text().splitlines()
    assert (DEPLOY / "space" / front["app_file"]).is_file()


def files(folder: Path, packages: list[str]) -> set[Path]:
    """What Python reads or a page shows; not what Python keeps for itself."""
    found = (file for name in packages for file in (folder / name).rglob("*") if file.is_file())
    return {file.relative_to(folder) for file in found if "__pycache__" not in file.parts}


def test_a_space_made_as_the_readme_says_has_all_of_the_project_in_itself(tmp_path):
    lines = re.search(r"```sh\n(cp -r .*?)```", (DEPLOY / "README.md").read_text(), re.DOTALL)[1]
    place = {**os.environ, "SPACE": str(tmp_path)}
    subprocess.run(["sh", "-ec", lines], cwd=ROOT, env=place, check=True)
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = [pattern.rstrip("*") for pattern in setup["packages"]["find"]["include"]]
    assert files(tmp_path, packages) == files(ROOT, packages)
    weights = tmp_path / DEMO_WEIGHTS.relative_to(ROOT)
    assert (weights / "model.safetensors").is_file()


def test_a_space_starts_a_page_that_knows_its_arguments(monkeypatch):
    from apps import chat  # gradio takes seconds to import: only for those who need it

    started = []
    monkeypatch.setattr(chat, "main", started.append)
    runpy.run_path(str(DEPLOY / "space" / "app.py"), run_name="__main__")
    [arguments] = started
    options = chat.parser().parse_args(arguments)
    assert (options.host, options.port, options.model) == ("0.0.0.0", 7860, "demo")
    assert options.framed_by


def test_the_readme_names_every_file_for_kserve():
    named = re.findall(r"`(kserve/[\w.-]+)`", (DEPLOY / "README.md").read_text())
    assert {DEPLOY / name for name in named} == set(KSERVE)
