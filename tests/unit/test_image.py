"""Would the Dockerfile build an image whose entry points run? Its steps, as far as they go without an engine."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.cluster import IMAGE
from tests.support.crd import ROOT

COMMANDS = ("maildomain-controller", "kubectl-maildomain")


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of the Dockerfile, its lines joined."""

    word: str
    rest: str


def steps() -> list[Step]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [Step(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def copied() -> Iterator[str]:
    """What is copied from the checkout."""
    for step in steps():
        if step.word == "COPY" and "--from" not in step.rest:
            yield from step.rest.split()[:-1]


def uv() -> str:
    found = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    assert found, "uv is not there: `make install` brings it"
    return found


def run(*command: str, env: dict[str, str] | None = None, cwd: Path = ROOT) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=os.environ | (env or {}))
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of exactly what the Dockerfile copies, so that a file it forgets is missed here."""
    context = tmp_path_factory.mktemp("context")
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, context / name)
    # The build backend is in uv's cache since the project itself was installed.
    run(uv(), "build", "--wheel", "--offline", "--quiet", "--out-dir", str(context / "dist"), cwd=context)
    [built] = (context / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel; the libraries are borrowed from this one."""
    folder = tmp_path_factory.mktemp("image") / "environment"
    run(uv(), "venv", "--quiet", "--offline", "--python", sys.executable, str(folder))
    python = str(folder / "bin" / "python")
    run(uv(), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, str(wheel))
    return folder


def test_every_path_that_is_copied_exists_and_is_not_ignored() -> None:
    admitted = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"
    }

    assert {name for name in copied() if not (ROOT / name).exists()} == set()
    assert set(copied()) == admitted


def test_the_image_runs_as_nobody_and_starts_the_operator() -> None:
    last = {step.word: step.rest for step in steps()}

    assert last["USER"] == "65532:65532"
    assert json.loads(last["ENTRYPOINT"]) == ["maildomain-controller"]
    assert json.loads(last["CMD"]) == ["run"]


def test_both_stages_have_the_same_interpreter_and_the_second_has_no_build_tools() -> None:
    images = [step.rest.split()[0] for step in steps() if step.word == "FROM"]

    assert images == ["python:3.11-slim", "python:3.11-slim"]
    starts = [index for index, step in enumerate(steps()) if step.word == "FROM"]
    assert not [step for step in steps()[starts[1] :] if step.word == "RUN"]


def test_what_is_installed_is_what_the_lock_file_names() -> None:
    installs = [step.rest for step in steps() if step.word == "RUN" and "uv sync" in step.rest]
    exported = run(uv(), "export", "--frozen", "--no-dev", "--offline", "--no-emit-project", "--no-hashes", "--quiet")

    assert len(installs) == 2
    assert all("--frozen" in command and "--no-dev" in command for command in installs)
    assert re.search(r"^kopf==", exported, re.MULTILINE)
    assert not re.search(r"^(pytest|mypy|ruff|hypothesis)==", exported, re.MULTILINE)


def test_the_wheel_holds_the_program_and_the_crds_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]

    assert {
        "controller/py.typed",
        "controller/crds/maildomains.yaml",
        "controller/crds/entitlementsources.yaml",
    } <= set(names)
    assert {name.partition("/")[0] for name in names} == {"controller"}
    assert not [name for name in names if name.startswith("tests/") or "__pycache__" in name]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_entry_point_runs_from_the_wheel(environment: Path, command: str) -> None:
    help_text = run(str(environment / "bin" / command), "--help", env=borrowed(), cwd=environment)

    assert "Usage" in help_text
    for name in ("run", "plan", "apply", "migrate"):
        assert name in help_text


def test_the_package_runs_from_the_wheel(environment: Path) -> None:
    python = str(environment / "bin" / "python")
    where = run(python, "-c", "import controller; print(controller.__file__)", env=borrowed(), cwd=environment)

    assert Path(where.strip()).is_relative_to(environment)
    assert "Usage" in run(python, "-m", "controller", "--help", env=borrowed(), cwd=environment)


def borrowed() -> dict[str, str]:
    # As a plain path: the .pth file that leads to this checkout is not followed from there.
    return {"PYTHONPATH": sysconfig.get_path("purelib"), "NO_COLOR": "1", "TERM": "dumb"}


def test_the_bench_runs_the_operator_with_the_memory_settings_of_the_image() -> None:
    said = dict(pair.split("=", 1) for step in steps() if step.word == "ENV" for pair in step.rest.split())
    assert IMAGE.items() <= said.items()
    assert IMAGE.keys() == {name for name in said if name.startswith("MALLOC_")}
