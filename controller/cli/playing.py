"""How is the story of the sandbox played? In a folder of its own, with the commands that users run."""

import contextlib
import io
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from controller.cli.console import stdout_console, tell
from controller.cli.wording import PROGRAM
from controller.sandbox.deploycenter import Double, World
from controller.sandbox.folder import DATABASE_URL, MANIFESTS, Folder, furnish, prepare
from controller.sandbox.scene import read_scene
from controller.sandbox.serving import serve_again
from controller.sandbox.story import Ran, Story, StoryUntrue
from controller.sandbox.towns import communes


def serve_again_in(path: Path) -> None:
    """Serve DeployCenter for a folder that was built before, until a signal."""
    serve_again(Folder(path), tell)


def play(folder: Path | None, *, interactive: bool) -> bool:
    """Build the world in this folder, or in a temporary one, and tell the story; whether it came true."""
    console = stdout_console()
    place = prepare((folder or Path(tempfile.mkdtemp(prefix="maildomain-sandbox-"))).absolute())
    console.print(f"In [bold]{place.path}[/bold], with {_setting()}:")
    try:
        _tell_story(place, console, interactive=interactive)
    except StoryUntrue as untrue:
        tell(f"error: {untrue}")
        return False
    for line in _how_to_go_on(place):
        console.print(line)
    return True


def _tell_story(place: Folder, console: Console, *, interactive: bool) -> None:
    towns = communes()
    double = Double(World([], []))
    with double.serve_in_thread() as url, _moved_into(place, console):
        furnish(place, towns, url=url, port=urlsplit(url).port or 0)
        double.world = read_scene(place.scene).world
        Story(place, towns, double, Commands(console), console, _wait if interactive else _go_on).tell()


@dataclass(frozen=True, slots=True)
class Commands:
    """Runs commands as users do, and shows them with what they say. In this process, because each start takes time."""

    console: Console

    def __call__(self, *arguments: str, quiet: bool = False) -> Ran:
        """Run one command; `quiet` shows nothing."""
        from controller.cli.main import execute  # noqa: PLC0415  # which imports this module

        if not quiet:
            self.console.print(f"\n[bold]$ {shlex.join((PROGRAM, *arguments))}[/bold]")
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = execute(arguments)
        if not quiet:
            self.console.print(Text.from_ansi((out.getvalue() + err.getvalue()).rstrip()))
        return Ran(code, json.loads(out.getvalue()) if "json" in arguments and out.getvalue() else None)


@contextlib.contextmanager
def _moved_into(place: Folder, console: Console) -> Iterator[None]:
    """Be in the folder, with its settings and none of the user's own, until the body ends."""
    before = dict(os.environ)
    ours = {name: value for name, value in before.items() if not name.startswith("MDC_")}
    try:
        _be(ours | _settings(console))
        with contextlib.chdir(place.path):
            yield
    finally:
        _be(before)


def _settings(console: Console) -> dict[str, str]:
    colour = {"FORCE_COLOR": "1"} if console.is_terminal else {}
    return colour | {"MDC_DATABASE_URL": DATABASE_URL, "NO_PROXY": "127.0.0.1", "COLUMNS": str(console.width)}


def _be(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def _how_to_go_on(place: Folder) -> Iterator[str]:
    yield "\n[bold green]The story came true.[/bold green] To go on:\n"
    yield f"  cd {shlex.quote(str(place.path))} && export {_setting()}"
    if shutil.which(PROGRAM) is None:
        yield f'  export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"'
    commands = (
        ("sandbox --serve . &", "DeployCenter again, until `kill %1`"),
        (f"plan -f {MANIFESTS}", f"after any edit of deploycenter.json or {MANIFESTS}/"),
        (f"apply -f {MANIFESTS}", ""),
        (f"explain USER DOMAIN -f {MANIFESTS}", "an e-mail of deploycenter.json, or an id of a plan"),
        ("status", ""),
        ("journal --since 2h", ""),
    )
    for command, why in commands:
        yield f"  {PROGRAM} {command:<40}{f'# {why}' if why else ''}".rstrip()
    yield '\n"behaviour" in deploycenter.json: null, "down", "server_error", "unauthenticated", "empty", "key_absent".'


def _setting() -> str:
    return f"MDC_DATABASE_URL={DATABASE_URL}"


def _wait() -> None:
    with contextlib.suppress(EOFError):
        input("Enter to go on ")


def _go_on() -> None:
    """Go on at once."""
