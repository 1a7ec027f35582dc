"""`freeze`: everything stopped at once, and let go again."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from controller.cli.console import tell, warn
from controller.cli.opening import open_database
from controller.cli.options import DatabaseUrl

if TYPE_CHECKING:
    from controller.maildb.database import MailDatabase

Result = TypeVar("Result")

PATIENCE = 30.0
"""Seconds for which a write that is under way is waited for."""

Off = Annotated[bool, typer.Option("--off", help="Lift the freeze, whoever has set it.")]
Why = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Shown by status and plan. No e-mails.")]


def freeze(*, off: Off = False, reason: Why = None, database_url: DatabaseUrl = None) -> None:
    """Stop every write to this mail database, by every install and command, until `freeze --off`.

    Nothing is granted, adopted or revoked, deniedAdmins included; sources are asked as before. When the command ends,
    no write is under way any more. Exit codes: 0, 7 the database is unavailable or migrate is needed.
    """
    if off and reason is not None:
        raise typer.BadParameter("belongs to a freeze, not to its end", param_hint="--reason")
    with open_database(database_url) as database:
        if off:
            tell("the freeze is lifted" if _patiently(database.lift_freeze) else "nothing was frozen")
        else:
            _freeze(database, reason)


def _freeze(database: "MailDatabase", reason: str | None) -> None:
    from controller.errors import DatabaseUnavailable  # noqa: PLC0415  # beside the database alone

    _patiently(lambda: database.freeze(reason))
    tell("frozen: nothing is written by anybody until `freeze --off`")
    try:
        _patiently(database.await_writes)
    except DatabaseUnavailable:
        warn("a write that had begun before is still under way; it is the last one")


def _patiently(act: Callable[[], Result]) -> Result:
    """Try again while somebody else's write holds a lock."""
    from controller.maildb.failures import Locked  # noqa: PLC0415  # beside the database alone

    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return act()
        except Locked:
            if time.monotonic() > deadline:
                raise
