"""Does what the documentation shows work? Its documents are declared, its commands run, its pipeline is carried out."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from controller.cli.main import program
from controller.permissions.importing import OldRestrictions
from controller.resources.documents import Document, parse_documents
from controller.resources.model import API_VERSION
from tests.docs.pages import PAGES, ROOT, Block, blocks, page
from tests.support.crd import crd
from tests.support.database import MailWorld, fresh_database
from tests.support.published import require

COMMANDS = program().commands
PIPELINES = [block for block in blocks("yaml") if "script:" in block.text]
WITH_SCRIPTS = [path for path in PAGES if any(block.mark == "run" for block in page(path).blocks)]


@dataclass(frozen=True, slots=True)
class Desk:
    """A folder, and the environment of whoever follows the documentation in it."""

    folder: Path
    environment: dict[str, str]

    def lay_out(self, path: Path) -> None:
        """Write the files that a page shows."""
        for block in page(path).blocks:
            if block.mark == "file":
                target = self.folder / block.argument
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text, encoding="utf-8")

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-euo", "pipefail", "-c", script]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """With a mail database that holds the domain of the examples and its two people, nobody of them administrator."""
    with fresh_database("sqlite", tmp_path, migrated=False) as url:
        world = MailWorld(url)
        world.domain("commune.example")
        world.user("maire@commune.example")
        world.user("adjointe@commune.example")
        folder = tmp_path / "reader"
        folder.mkdir()
        known = {name: value for name, value in os.environ.items() if not name.startswith("MDC_")}
        path = os.pathsep.join((str(Path(sys.executable).parent), known["PATH"]))
        yield Desk(folder, known | {"PATH": path, "MDC_DATABASE_URL": url})


# --- documents --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_each_document_is_valid_by_the_parser_and_by_the_crds(block: Block) -> None:
    documents = list(yaml.safe_load_all(block.text))
    # What has no name is a template of the API; the page that shows it has a test of its own.
    ours = [item for item in documents if isinstance(item, dict) and item.get("apiVersion") == API_VERSION]
    ours = [item for item in ours if "name" in item["metadata"]]
    for item in ours:
        assert crd(item["kind"]).refusals({**item, "metadata": {}}) == []
    if ours:
        parse_documents([Document(str(block), block.text)])


@pytest.mark.parametrize("block", [block for block in blocks("json") if '"kind"' in block.text], ids=str)
def test_each_json_document_is_of_the_published_schema(block: Block) -> None:
    document = json.loads(block.text)
    if "restrictions" in document:
        OldRestrictions.model_validate(document, by_alias=True, by_name=False)
        return
    name = "review.json" if "gate" in document else "plan.json"
    require(document, name)


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)  # ten processes, one after the other
@pytest.mark.parametrize("path", WITH_SCRIPTS, ids=lambda path: path.name)
def test_the_commands_of_a_page_do_what_it_says_from_top_to_bottom(path: Path, desk: Desk) -> None:
    desk.lay_out(path)
    for block in page(path).blocks:
        if block.mark == "run":
            ended = desk.run(block.text)
            expected = int(block.argument.removeprefix("exit ") or 0)
            assert ended.returncode == expected, f"{block}\n{ended.stdout}{ended.stderr}"


@pytest.mark.parametrize("block", PIPELINES, ids=str)
@pytest.mark.parametrize(
    ("domain", "expected"),
    [("mode: Enforce", 0), ("mode: Inforce", 6)],
    ids=["a grant passes", "an invalid document fails"],
)
def test_the_pipeline_passes_a_grant_and_fails_on_what_is_wrong(
    block: Block, domain: str, expected: int, desk: Desk
) -> None:
    desk.lay_out(ROOT / "docs" / "cli.md")
    declared = desk.folder / "demo"
    declared.rename(desk.folder / "domains")
    commune = desk.folder / "domains" / "commune.yaml"
    commune.write_text(commune.read_text(encoding="utf-8").replace("mode: Enforce", domain), encoding="utf-8")
    [job] = yaml.safe_load(block.text).values()
    ended = desk.run("SECRETS=secrets\n" + "\n".join(job["script"]))
    assert ended.returncode == expected, ended.stdout + ended.stderr
    if expected == 0:
        assert "1 to grant" in (desk.folder / "plan.md").read_text(encoding="utf-8")


def test_each_shell_block_is_run_or_says_that_it_is_not() -> None:
    """Blocks of kubectl alone need a cluster."""
    for block in blocks("sh"):
        needs_cluster = all(line.startswith("kubectl ") for line in block.text.splitlines())
        assert block.mark in ("run", "synopsis") or needs_cluster, block


@pytest.mark.parametrize("block", blocks("sh", "yaml"), ids=str)
def test_each_command_that_is_shown_is_one_of_the_program_with_options_that_it_has(block: Block) -> None:
    for line in re.split(r"\n|\|\|?|&&| -- ", block.text):
        words = shlex.split(line.removeprefix("- "), comments=True)
        if words[:1] != ["maildomain-controller"]:
            continue
        verb, *rest = words[1:]
        options = {option for parameter in COMMANDS[verb].params for option in parameter.opts}
        assert {word for word in rest if word.startswith("-") and word != "-"} <= options, line


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_each_command_that_a_sentence_names_exists(path: Path) -> None:
    for code in page(path).codes:
        words = code.split()
        if words[:1] == ["maildomain-controller"] and len(words) > 1 and words[1] != "COMMAND":
            assert words[1] in COMMANDS, code
