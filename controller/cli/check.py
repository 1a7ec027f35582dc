"""`check`: whether the mail database can be worked with, and what is missing if not."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

import typer

from controller.cli.console import emit
from controller.cli.exits import Exit
from controller.cli.opening import open_database
from controller.cli.options import DatabaseUrl, PlainFormat, PlainOutput
from controller.cli.wire import Part, dump
from controller.errors import ControllerError, InvalidInput, SchemaUnknown

if TYPE_CHECKING:
    from controller.maildb.database import MailDatabase


class Checked(Part):
    """One question about the database, and what came out."""

    name: Literal["application tables", "read access", "own tables"]
    ok: bool
    found: tuple[str, ...]
    """Fixed texts: what is wrong, each with its remedy."""


class ShownCheck(Part):
    """The check on the wire."""

    api_version: Literal["maildomain.dev/v1alpha1"]
    kind: Literal["Check"]
    ok: bool
    checks: tuple[Checked, ...]


def check(database_url: DatabaseUrl = None, output: PlainFormat = PlainOutput.TEXT) -> None:
    """Look whether the database answers, has a known schema, lets us read it, and holds our own tables.

    Writes nothing. Exit codes: 0 everything is as it should be, 7 something is not.
    """
    with open_database(database_url) as database:
        checks = tuple(_checks(database))
    ok = all(one.ok for one in checks)
    if output is PlainOutput.JSON:
        emit(dump(ShownCheck(api_version="maildomain.dev/v1alpha1", kind="Check", ok=ok, checks=checks)))
    else:
        emit("".join(f"{line}\n" for one in checks for line in _lines(one)))
    raise typer.Exit(Exit.DONE if ok else Exit.UNAVAILABLE)


def _checks(database: "MailDatabase") -> Iterator[Checked]:
    yield _checked("application tables", database.preflight)
    yield _checked("read access", lambda: database.snapshot((), ()))
    yield _checked("own tables", database.check_version)


def _checked(name: Literal["application tables", "read access", "own tables"], ask: Callable[[], object]) -> Checked:
    try:
        ask()
    except InvalidInput:
        raise
    except SchemaUnknown as error:
        return Checked(name=name, ok=False, found=error.differences)
    except ControllerError as error:
        return Checked(name=name, ok=False, found=(str(error),))
    return Checked(name=name, ok=True, found=())


def _lines(checked: Checked) -> Iterator[str]:
    yield f"{'ok    ' if checked.ok else 'FAILED'} {checked.name}"
    for found in checked.found:
        yield f"       {found}"
