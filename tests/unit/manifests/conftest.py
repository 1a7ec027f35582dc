"""Which tests need a program that is not Python? Those that take it as a fixture; `make envtest` builds it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.envtest import build

REQUIRED = "MDC_REQUIRE_ENVTEST"

skipped = pytest.StashKey[str]()


def program(name: str) -> Callable[[], Path]:
    @pytest.fixture(scope="session", name=name)
    def found() -> Path:
        program = build.find_tool(name)
        assert program is not None, f"there is no {name}: run `make envtest`, which builds it"
        return program

    return found


helm, kstatus, promtool = (program(name) for name in ("helm", "kstatus", "promtool"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what can't run and is not required."""
    here = Path(__file__).parent
    missing = {name for name in build.TOOLS if build.find_tool(name) is None}
    if not missing or os.environ.get(REQUIRED) == "1":
        return
    idle = [item for item in items if item.path.is_relative_to(here) and missing & set(fixtures_of(item))]
    reason = "needs a program that `make envtest` builds"
    for item in idle:
        item.add_marker(pytest.mark.skip(reason=reason))  # told loudly at the end; CI requires the programs instead
    if idle:
        config.stash[skipped] = f"no {', '.join(sorted(missing))}: run `make envtest`; {len(idle)} tests did not run"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if skipped in config.stash:
        terminalreporter.write_line(f"PROGRAMS MISSING: {config.stash[skipped]}", red=True, bold=True)


def fixtures_of(item: pytest.Item) -> list[str]:
    return item.fixturenames if isinstance(item, pytest.Function) else []
