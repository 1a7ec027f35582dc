"""What does a signal wait for, and what happens to an error that nobody expected?"""

import asyncio
import os
import signal

import pytest

from controller.errors import ClusterUnavailable
from controller.operator import main
from controller.operator.install import Install
from controller.operator.main import _finish, _heed_signals, run
from controller.settings import Settings

SETTINGS = Settings.model_validate(
    {
        "owner": "test",
        "database_url": "sqlite:////nowhere/mail.sqlite3",
        "pod_namespace": "maildomain-system",
        "health_port": 0,
        "log_format": "json",
        "log_level": "INFO",
    }
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_the_loop_to_stop(number: signal.Signals) -> None:
    stop = asyncio.Event()
    _heed_signals(stop)
    os.kill(os.getpid(), number)
    async with asyncio.timeout(5):
        await stop.wait()


async def test_what_is_under_way_is_finished() -> None:
    finished = asyncio.Event()

    async def transaction() -> None:
        await asyncio.sleep(0)
        finished.set()

    await _finish(asyncio.create_task(transaction()))
    assert finished.is_set()


async def test_a_loop_that_does_not_finish_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "GRACE", 0.01)
    working = asyncio.create_task(asyncio.sleep(3600))
    async with asyncio.timeout(5):
        await _finish(working)
    assert working.cancelled()


async def test_a_loop_that_has_failed_is_not_passed_over() -> None:
    async def failing() -> None:
        raise ClusterUnavailable("gone")

    with pytest.raises(ClusterUnavailable):
        await _finish(asyncio.create_task(failing()))


def test_an_error_that_nobody_expected_is_masked_and_ends_with_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(_: Install) -> None:
        raise RuntimeError("about marie@commune.fr")

    monkeypatch.setattr(main, "operate", broken)
    assert run(SETTINGS) == 1
    logged = capsys.readouterr().err
    assert "RuntimeError" in logged
    assert "marie" not in logged


def test_our_own_errors_are_for_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(_: Install) -> None:
        raise ClusterUnavailable("the API server does not know maildomains.maildomain.dev: apply crds/ first")

    monkeypatch.setattr(main, "operate", refused)
    with pytest.raises(ClusterUnavailable):
        run(SETTINGS)


def test_a_signal_is_the_good_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stopped(_: Install) -> None:
        return

    monkeypatch.setattr(main, "operate", stopped)
    assert run(SETTINGS) == 0
