"""`sandbox`: a whole small world on this machine, and a story that shows what the controller does to it."""

from pathlib import Path
from typing import Annotated

import typer

FolderOption = Annotated[
    str | None,
    typer.Option("--folder", metavar="DIR", help="Where to build it: a new or empty folder; default a temporary one."),
]
Serve = Annotated[
    str | None,
    typer.Option("--serve", metavar="DIR", help="Serve DeployCenter again for a folder that was built before."),
]
Interactive = Annotated[
    bool, typer.Option("--interactive/--non-interactive", help="Wait for Enter after each chapter.")
]


def sandbox(*, folder: FolderOption = None, serve: Serve = None, interactive: Interactive = False) -> None:
    """Build a mail database, a DeployCenter on loopback and manifests, and show what happens to them.

    Needs no network and no database server. It leaves the folder, and says how to go on playing with it.
    Exit codes: 0 the story came true, 1 it did not.
    """
    from controller.cli.playing import play, serve_again_in  # noqa: PLC0415  # a web server, which no other command needs

    if serve is not None:
        serve_again_in(Path(serve))
    elif not play(Path(folder) if folder is not None else None, interactive=interactive):
        raise typer.Exit(1)
