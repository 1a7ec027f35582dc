"""A declared source becomes one that can be asked, or says in plain words why not."""

from collections.abc import Callable
from typing import Any

import pytest

from controller.entitlements.opening import fingerprint, open_source
from controller.entitlements.pacing import Lanes
from controller.entitlements.source import Reply
from controller.errors import InvalidInput, SecretMissing
from controller.planning.facts import AnswerReason as R
from controller.planning.facts import Entitled, Unknown
from controller.resources.model import API_VERSION, SecretKeyRef
from controller.resources.names import DomainName
from controller.resources.source import EntitlementSource
from controller.sandbox.deploycenter import Double
from tests.support.deploycenter import ADMIN, API_KEY, PIVOT, declared, opened, secret, subject

URL = "https://dc.example/api/v1.0/entitlements/"


def source(**provider: Any) -> EntitlementSource:
    return EntitlementSource.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "EntitlementSource",
            "metadata": {"name": "other"},
            "spec": {"provider": provider},
        }
    )


def no_secret(_: SecretKeyRef) -> str:
    raise SecretMissing("nothing there")


GRANTS = {
    "grants": [
        {"email": "Ada@D1.example", "domains": ["d1.example"]},
        {"email": "ada@d1.example", "domains": ["d2.example"]},
        {"email": "bob@élan.example", "domains": ["d3.example"]},
    ]
}


@pytest.mark.parametrize(
    ("email", "domains"),
    [
        ("ada@d1.example", {"d1.example", "d2.example"}),
        ("ADA@d1.EXAMPLE", {"d1.example", "d2.example"}),
        ("Bob@xn--lan-9la.example", {"d3.example"}),
        ("nobody@d1.example", set()),
    ],
)
async def test_a_static_source_knows_everybody(email: str, domains: set[str]) -> None:
    listed = open_source(source(static=GRANTS), no_secret, Lanes())
    assert await listed.ask(subject(email)) == Reply(Entitled(frozenset(map(DomainName, domains))))
    await listed.close()


async def test_a_local_source_knows_nobody() -> None:
    local = open_source(source(local={}), no_secret, Lanes())
    assert await local.ask(subject()) == Reply(Unknown(R.LOCAL))
    await local.close()


async def test_a_source_has_its_key_and_as_many_workers_as_its_concurrency() -> None:
    async with opened(URL, concurrency=5, name="dc") as center:
        assert (str(center.key), center.workers) == ("default/dc", 5)


# --- Secrets ------------------------------------------------------------------------------------------------------


async def test_the_newline_of_an_editor_is_no_part_of_the_key(double: Double, url: str) -> None:
    async with opened(url, key=f"  {API_KEY}\r\n") as center:
        assert isinstance((await center.ask(subject())).verdict, Entitled)
    assert double.last_headers["X-Service-Auth"] == f"Bearer {API_KEY}"


@pytest.mark.parametrize("text", ["", " \n", "clé", "two\nlines", "key\x00", "key\ufffd", "key\x7f"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(SecretMissing) as caught:
        open_source(declared(URL), secret(text), Lanes())
    assert str(caught.value) == (
        "Secret default/deploycenter holds no usable API key at api-key: write one line of printable ASCII"
    )


@pytest.mark.parametrize("pem", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "é"])
def test_a_bundle_that_is_none_is_refused(pem: str) -> None:
    bundled = declared(URL, caBundleSecretRef={"name": "ca", "key": "ca.crt"})
    with pytest.raises(
        SecretMissing, match=r"^Secret default/ca holds no usable CA bundle at ca\.crt: write certificates in PEM form$"
    ):
        open_source(bundled, lambda ref: pem if ref.name == "ca" else API_KEY, Lanes())


def test_a_missing_secret_is_said() -> None:
    with pytest.raises(SecretMissing):
        open_source(declared(URL), no_secret, Lanes())
    with pytest.raises(SecretMissing):
        fingerprint(declared(URL), no_secret)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "gopher://127.0.0.1:1", "http://[::1"])
def test_a_proxy_that_cannot_be_used_is_the_environments_fault(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(InvalidInput, match="HTTPS_PROXY"):
        open_source(declared(URL), secret(), Lanes())


@pytest.mark.parametrize("url", ["https://[::1/", "https://dc.example:99999999/", "https://dc.example:port/"])
def test_an_address_that_is_none_is_said_with_its_field(url: str) -> None:
    with pytest.raises(
        InvalidInput, match=r"^EntitlementSource default/deploycenter: spec\.provider\.deployCenter\.url"
    ):
        open_source(declared(url), secret(), Lanes())


# --- fingerprints -------------------------------------------------------------------------------------------------


def test_a_fingerprint_stays_while_nothing_changes() -> None:
    assert fingerprint(declared(URL), secret()) == fingerprint(declared(URL), secret())
    assert API_KEY not in fingerprint(declared(URL), secret())


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (declared(URL), secret("rotated")),
        (declared("https://other.example/"), secret()),
        (declared(URL, serviceId=2), secret()),
        (declared(URL, pivots=(PIVOT, "21000000000002")), secret()),
        (declared(URL, timeout="2s"), secret()),
        (declared(URL, caBundleSecretRef={"name": "ca", "key": "ca.crt"}), secret()),
        (source(local={}), secret()),
        (source(static=GRANTS), secret()),
    ],
)
def test_it_changes_with_provider_and_secrets(changed: EntitlementSource, text: Callable[[SecretKeyRef], str]) -> None:
    assert fingerprint(changed, text) != fingerprint(declared(URL), secret())


def test_it_changes_with_every_secret_and_not_with_where_one_ends() -> None:
    bundled = declared(URL, caBundleSecretRef={"name": "ca", "key": "ca.crt"})

    def texts(key: str, bundle: str) -> Callable[[SecretKeyRef], str]:
        return lambda ref: bundle if ref.name == "ca" else key

    prints = {fingerprint(bundled, texts(*both)) for both in (("a", "b"), ("ab", ""), ("", "ab"), ("a", "c"))}
    assert len(prints) == 4


def test_it_changes_with_a_static_grant() -> None:
    grant = {"email": ADMIN, "domains": ["d1.example"]}
    more = {"email": "other@d1.example", "domains": ["d1.example"]}
    one, other = source(static={"grants": [grant]}), source(static={"grants": [more]})
    assert fingerprint(one, no_secret) != fingerprint(other, no_secret)
