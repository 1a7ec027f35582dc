"""Whatever a mail database holds: its export, applied, changes no access, and there is nothing to plan afterwards."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.cli.main import execute
from controller.planning.facts import DomainId
from tests.support.database import MailWorld, fresh_database

EMAILS = ("ann@x.fr", "Ann@X.fr", "bob@é.fr", "bob@xn--9ca.fr", "carol@y.fr", "not an e-mail", "")
NAMES = ("x.fr", "X.fr", "é.fr", "xn--9ca.fr", "y.fr", "not a domain")


@dataclass(frozen=True)
class Held:
    """What a mail database holds: places in the lists of people and domains."""

    people: list[tuple[str, bool]]
    """E-mail, and whether the account is active."""
    domains: list[tuple[str, bool]]
    """Name as it is stored, and whether it is an alias of the first."""
    accesses: set[tuple[int, int]]
    others: set[tuple[int, int]]
    """Accesses of another role."""


places = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)
held = st.builds(
    Held,
    st.lists(st.tuples(st.sampled_from(EMAILS), st.booleans()), min_size=1, max_size=6),
    st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), min_size=1, max_size=6, unique_by=lambda item: item[0]),
    places,
    places,
)


def fill(mail: MailWorld, found: Held) -> None:
    people = [mail.user(email or None, active=active) for email, active in found.people]
    domains: list[DomainId] = []
    for name, alias in found.domains:
        first = domains[0] if alias and domains else None
        domains.append(mail.domain(name, alias_of=first))
    pairs = {(user % len(people), domain % len(domains)) for user, domain in found.accesses}
    others = {(user % len(people), domain % len(domains)) for user, domain in found.others} - pairs
    for user, domain in sorted(pairs):
        mail.admin(people[user], domains[domain])
    for user, domain in sorted(others):
        mail.admin(people[user], domains[domain], role=7)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=held, static=st.booleans())
def test_export_apply_plan_changes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, found: Held, *, static: bool
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        return execute(arguments), capsys.readouterr().out

    with tempfile.TemporaryDirectory() as folder, fresh_database("sqlite", Path(folder)) as url:
        monkeypatch.setenv("MDC_DATABASE_URL", url)
        monkeypatch.setenv("MDC_OWNER", "test")
        mail, manifests = MailWorld(url), Path(folder, "export.yaml")
        fill(mail, found)
        code, exported = run("export", *(("--static", "--show-pii") if static else ()))
        if code == 6:
            assert static, "a static source needs somebody to name"
            return
        manifests.write_text(exported, encoding="utf-8")
        if static:
            manifests.write_text(exported.replace("mode: Observe", "mode: Enforce"), encoding="utf-8")
        if "MailDomain" not in exported:
            return
        before = mail.dump()
        assert run("plan", "-f", str(manifests))[0] == 0
        assert run("apply", "-f", str(manifests), "--confirm-after", "0s")[0] == 0
        assert mail.dump() == before
        code, planned = run("plan", "-f", str(manifests), "-o", "json")
        counts = json.loads(planned)["counts"]
        assert (code, counts["grants"], counts["revocations"], counts["adoptions"], counts["held"]) == (0, 0, 0, 0, 0)
