"""`migrate`: the controller's own tables, created or brought up to date."""

from typing import Annotated

import typer

from controller.cli.console import tell
from controller.cli.opening import open_database
from controller.cli.options import DatabaseUrl, read_domain
from controller.resources.names import DomainName

TakeOver = Annotated[
    DomainName | None,
    typer.Option(
        "--take-over",
        metavar="DOMAIN",
        parser=read_domain,
        help="Take this domain from the install that owns it; noted in the journal.",
    ),
]


def migrate(take_over: TakeOver = None, database_url: DatabaseUrl = None) -> None:
    """Create or update the controller's own tables, and pin MDC_OWNER. The application's tables stay as they are.

    Exit codes: 0, 7 the database is unavailable, refuses, or is newer than this program.
    """
    with open_database(database_url) as database:
        taken = database.migrate(take_over)
        tell(f"the controller's own tables are up to date; owner {database.owner}")
        if take_over is not None:
            owner = database.owner
            tell(
                f"{take_over} belongs to {owner} now"
                if taken
                else f"{take_over} belongs to no other owner than {owner}"
            )
