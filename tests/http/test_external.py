"""Can a third party add a provider? Found by its entry point, fenced in, and read like bytes from the wire."""

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.engine.roster import Roster
from controller.entitlements import external
from controller.entitlements.external import read_reply
from controller.entitlements.opening import fingerprint, open_source
from controller.entitlements.pacing import Lanes
from controller.entitlements.source import Reply, Source
from controller.errors import ProviderUnusable
from controller.planning.facts import AnswerReason as R
from controller.planning.facts import Entitled, Malformed, Partial, Unavailable, Unknown
from controller.resources.model import API_VERSION, SecretKeyRef
from controller.resources.names import DomainName
from controller.resources.source import EntitlementSource
from tests.support.deploycenter import subject

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
MODULE = "maildomain_directory"

Install = Callable[..., None]


def declared(name: str = "directory", **external: Any) -> EntitlementSource:
    spec = {"name": name, "config": {"base": "ou=communes"}, "secretRefs": [{"name": "d", "key": "password"}]}
    return EntitlementSource.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "EntitlementSource",
            "metadata": {"name": "directory"},
            "spec": {"provider": {"external": {**spec, **external}}},
        }
    )


def secret(_: SecretKeyRef) -> str:
    return "hunter2"


def opened(source: EntitlementSource) -> Source:
    return open_source(source, secret, Lanes())


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution, as `pip` would leave it, that offers the module's `open_directory`."""

    def installing(code: str, *, name: str = "directory", distribution: str = "maildomain_directory") -> None:
        (tmp_path / f"{distribution}.py").write_text(code, encoding="utf-8")
        info = tmp_path / f"{distribution}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n", encoding="utf-8")
        points = f"[{external.GROUP}]\n{name} = {distribution}:open_directory\n"
        (info / "entry_points.txt").write_text(points, encoding="utf-8")
        sys.modules.pop(distribution, None)

    monkeypatch.syspath_prepend(str(tmp_path))
    yield installing
    for module in [module for module in sys.modules if module.startswith("maildomain_")]:
        del sys.modules[module]


def example() -> str:
    """The provider that the documentation shows."""
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(code)


def odd(body: str) -> str:
    """The same with another `ask`."""
    return re.sub(r"(async def ask.*?:\n).*?\n\n", rf"\1        {body}\n\n", example(), flags=re.DOTALL)


# --- finding and opening ----------------------------------------------------------------------------------------------


async def test_the_example_of_the_documentation_answers(install: Install) -> None:
    install(example())
    source = opened(declared())
    assert (str(source.key), source.workers) == ("default/directory", 4)
    entitled = Entitled(frozenset({DomainName("commune.example")}))
    assert await source.ask(subject("DSI@commune.example")) == Reply(entitled, requests=1)
    assert await source.ask(subject("else@commune.example")) == Reply(Entitled(frozenset()), requests=1)
    await source.close()


def test_a_name_that_nobody_offers_is_said(install: Install) -> None:
    install(example())
    with pytest.raises(ProviderUnusable, match="external provider ldap is not installed"):
        opened(declared("ldap"))


def test_a_name_that_two_packages_offer_is_neither(install: Install) -> None:
    install(example())
    install(example(), distribution="maildomain_other")
    with pytest.raises(ProviderUnusable, match="offered by several packages"):
        opened(declared())


@pytest.mark.parametrize(
    "code",
    ["raise RuntimeError('dsi@commune.example')", "open_directory = None", "x = (", "import nothing_of_the_kind"],
)
def test_a_package_that_is_broken_is_unusable_and_quotes_nothing(install: Install, code: str) -> None:
    install(code)
    with pytest.raises(ProviderUnusable) as caught:
        opened(declared())
    assert "can't be opened" in str(caught.value)
    assert "@" not in str(caught.value)


def test_a_config_that_it_refuses_is_unusable(install: Install) -> None:
    install(example())
    with pytest.raises(ProviderUnusable, match=r"\(KeyError\)"):
        opened(declared(config={"bass": "ou=communes"}))


async def test_what_can_not_be_opened_says_so_on_its_source_alone(install: Install) -> None:
    install(example())
    roster = Roster()
    good, bad = declared(), declared("ldap").model_copy(update={"metadata": declared().metadata})
    sources, closed = await roster.update([good], lambda _, ref: secret(ref))
    assert (set(sources), closed) == ({good.key}, {})
    sources, closed = await roster.update([bad], lambda _, ref: secret(ref))
    assert (sources, closed) == ({}, {bad.key: R.PROVIDER_UNUSABLE})
    await roster.close()


def test_another_config_or_secret_opens_another_client() -> None:
    prints = {
        fingerprint(declared(), secret),
        fingerprint(declared(config={"base": 1}), secret),
        fingerprint(declared(), lambda _: "rotated"),
    }
    assert len(prints) == 3


# --- what it raises ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", ["ValueError('x')", "KeyError('dsi@commune.example')", "OSError", "ExceptionGroup('', [ValueError()])"]
)
async def test_what_it_raises_is_no_answer(install: Install, error: str) -> None:
    install(odd(f"raise {error}"))
    roster = Roster()
    sources, _ = await roster.update([declared()], lambda _, ref: secret(ref))
    assert await sources[declared().key].ask(subject()) == Reply(Unavailable(R.PROVIDER_FAILED))
    await roster.close()


async def test_one_that_never_answers_is_given_up(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "PATIENCE", 0.01)
    install("import asyncio\n" + odd("await asyncio.Event().wait()"))
    assert await opened(declared()).ask(subject()) == Reply(Unavailable(R.TIMEOUT))


async def test_a_sweep_that_is_given_up_is_not_held_back_by_it(install: Install) -> None:
    install("import asyncio\n" + odd("await asyncio.Event().wait()"))
    asking = asyncio.create_task(opened(declared()).ask(subject()))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_close_that_fails_ends_nothing(install: Install) -> None:
    install(example().replace("        pass", "        raise RuntimeError"))
    await opened(declared()).close()


# --- what it says -----------------------------------------------------------------------------------------------------

NAMES = frozenset({DomainName("a.example")})


def said(verdict: Any, holds: Any, **fields: Any) -> Reply:
    """What a provider returns that keeps to no types."""
    return Reply(verdict(holds), **fields)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (Reply(Entitled(NAMES), can_access=True, siret="21590350100017", requests=2), None),
        (Reply(Unknown(R.KEY_ABSENT)), None),
        (Reply(Unavailable(R.UNAUTHENTICATED)), None),
        (said(Entitled, {" A.Example "}), Reply(Entitled(NAMES))),
        (said(Entitled, ["a.example", "a.example"]), Reply(Entitled(NAMES))),
        (said(Entitled, {"a.example", "no name", 5}), Reply(Partial(NAMES))),
        (Reply(Partial(NAMES)), None),
        (said(Partial, {"a.example", None}), Reply(Partial(NAMES))),
        (said(Entitled, "a.example"), Reply(Malformed(R.WRONG_SHAPE))),
        (said(Entitled, {"a.example": 1}), Reply(Malformed(R.WRONG_SHAPE))),
        (said(Entitled, None), Reply(Malformed(R.WRONG_SHAPE))),
        (said(Entitled, [f"a{i}.example" for i in range(10_001)]), Reply(Malformed(R.TOO_LARGE))),
        (said(Unknown, "dsi@commune.example"), Reply(Malformed(R.WRONG_SHAPE))),
        (said(list, ["a.example"]), Reply(Malformed(R.WRONG_SHAPE))),
        (said(Entitled, NAMES, can_access="yes"), Reply(Malformed(R.WRONG_SHAPE))),
        (Reply(Entitled(NAMES), access_reason="dsi@commune.example", siret="dsi@x"), Reply(Entitled(NAMES))),
        (Reply(Entitled(NAMES), requests=-1), Reply(Entitled(NAMES))),
        (Entitled(NAMES), Reply(Malformed(R.WRONG_SHAPE))),
        ([], Reply(Malformed(R.WRONG_SHAPE))),
        (None, Reply(Malformed(R.WRONG_SHAPE))),
    ],
)
def test_what_it_says_is_read_like_bytes_from_the_wire(said: object, read: Reply | None) -> None:
    assert read_reply(said) == (said if read is None else read)
