"""What can be run? The command line of `maildomain-controller`, which is `kubectl maildomain` as well."""

import sys
from collections.abc import Sequence
from functools import cache

import structlog
import typer
from typer.core import TyperGroup
from typer.main import get_group

from controller.cli.approve import approve
from controller.cli.check import check
from controller.cli.console import complain, tell
from controller.cli.converge import converge, import_restrictions
from controller.cli.exits import Exit, of_error
from controller.cli.explain import explain
from controller.cli.export import export
from controller.cli.freeze import freeze
from controller.cli.import_settings import import_settings
from controller.cli.journal import journal
from controller.cli.migrate import migrate
from controller.cli.reconcile import apply, plan
from controller.cli.review import review
from controller.cli.rollback import rollback
from controller.cli.run import run
from controller.cli.sandbox import sandbox
from controller.cli.serve import serve
from controller.cli.status import status
from controller.cli.validate import validate
from controller.cli.wording import PROGRAM
from controller.errors import ControllerError
from controller.observability.logging import configure_logging
from controller.observability.reports import REPORTS
from controller.settings import read_report_settings

log = structlog.get_logger(__name__)

app = typer.Typer(
    name=PROGRAM,
    help="Keeps the administrators of mail domains equal to what DeployCenter says.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    run,
    serve,
    plan,
    apply,
    approve,
    validate,
    explain,
    review,
    export,
    import_settings,
    import_restrictions,
    converge,
    status,
    journal,
    rollback,
    freeze,
    migrate,
    check,
    sandbox,
):
    app.command()(command)


@cache
def program() -> TyperGroup:
    """Built once: the sandbox runs many commands in one process."""
    return get_group(app)


def main() -> None:
    """Run the command of `sys.argv` and exit with its code."""
    configure_logging("text", "WARNING")
    try:
        code = execute(sys.argv[1:])
    except Exception:
        # An error of ours. Only the log masks what its text may hold.
        log.exception("ended")
        code = 1
    finally:
        REPORTS.close()
    sys.exit(code)


def execute(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. What a user can cause never ends in a traceback."""
    try:
        REPORTS.open(read_report_settings())
        program()(args=list(arguments), prog_name=PROGRAM)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else Exit.DONE
    except ControllerError as error:
        complain(error)
        return of_error(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except OSError as error:
        tell(f"error: can't read or write: {error.strerror}")
        return Exit.USAGE
    return Exit.DONE
