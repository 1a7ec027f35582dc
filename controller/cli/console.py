"""What goes where? The document to stdout and nothing else; everything for people on the way to stderr."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from controller.errors import ControllerError, InvalidInput
from controller.resources.names import ResourceKey

WIDE = 160
"""Columns of a table that nobody looks at on a terminal: wide enough not to be folded."""


def emit(text: str) -> None:
    """Write the document. A reader who has seen enough (`| head`) does not change what the run did."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def emit_printed(printing: Callable[[Console], None]) -> None:
    """Write a document for people: coloured on a terminal, plain elsewhere."""
    console = stdout_console()
    with console.capture() as captured:
        printing(console)
    emit(captured.get())


def stdout_console() -> Console:
    """Stdout for people."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE
    return Console(file=sys.stdout, width=width, highlight=False, emoji=False, soft_wrap=True)


def tell(message: str) -> None:
    """Say something to the person who waits."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201  # the one place that talks to people


def warn(message: str) -> None:
    """Say something that the person should act on."""
    tell(f"warning: {message}")


def complain(error: ControllerError) -> None:
    """Say what ended the run: each problem on its own line, with its remedy."""
    lines = [str(problem) for problem in error.problems] if isinstance(error, InvalidInput) else [str(error)]
    for line in lines:
        tell(f"error: {line}")


@contextmanager
def sweeping() -> Iterator[Callable[[ResourceKey, int, int], None] | None]:
    """Show how far each source has been asked, while stderr is a terminal; None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("asking {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks = {}

        def show(source: ResourceKey, asked: int, total: int) -> None:
            if source not in tasks:
                tasks[source] = progress.add_task(str(source), total=total)
            progress.update(tasks[source], completed=asked, total=total)

        yield show
