"""A small town that decides who may open what: objects as they are declared, people as the database has them."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from controller.permissions.census import Census, Person
from controller.permissions.realm import Court, convene
from controller.permissions.resolver import EVERY, Every, Question, Verdict, resolve
from controller.resources.charter import Charter
from controller.resources.documents import KINDS, parse_object
from controller.resources.maildomain import MailDomain
from controller.resources.names import DomainName, Email, ResourceKey

API_VERSION = "maildomain.dev/v1alpha1"
COMMUNE = DomainName("commune.example")
SERVICES = ("docs", "drive", "meet")


def obj(kind: str, name: str, spec: Mapping[str, Any], *, namespace: str = "org", uid: str = "") -> Any:
    """One object, parsed as the API server's would be."""
    metadata = {"name": name, "namespace": namespace, "uid": uid}
    document = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
    return parse_object(KINDS[kind], document, strict=True)


def maildomain(
    name: str = "commune",
    *,
    domain: str = COMMUNE,
    namespace: str = "org",
    services: Iterable[str] = SERVICES,
    default: str | None = None,
    mode: str = "Enforce",
    **access: Any,
) -> Any:
    """A MailDomain that decides on services; `impersonationMode` is Subject unless it is given."""
    access = {"impersonationMode": "Subject"} | access
    spec = {
        "domain": domain,
        "mode": mode,
        "sourceRefs": [{"name": "source"}],
        "serviceAccess": {
            "services": [{"name": service} for service in services],
            **({"defaultRoleRef": {"name": default}} if default else {}),
            **{name: value for name, value in access.items() if value is not None},
        },
    }
    return obj("MailDomain", name, spec, namespace=namespace)


def service(name: str, **spec: Any) -> Any:
    return obj("CatalogService", name, {"type": "drive", **spec})


def bought(name: str) -> Any:
    """A service that wants a subscription."""
    source = {"namespace": "platform", "name": name}
    return service(name, subscription={"sourceRef": source, "probeEmail": "probe@dsi.example"})


def role(name: str, access: str | Sequence[str], *, acts_as: str | Sequence[str] | None = None, **rest: Any) -> Any:
    """A role: `All`, `None`, or the services that it lists; whom it acts as likewise, by e-mail."""
    placing = {key: rest.pop(key) for key in ("namespace", "uid") if key in rest}
    spec: dict[str, Any] = {"serviceAccess": _choice(access, "services"), **rest}
    if acts_as is not None:
        subjects = acts_as if isinstance(acts_as, str) else [_subject(subject) for subject in acts_as]
        spec["impersonation"] = _choice(subjects, "subjects")
    return obj("MailDomainRole", name, spec, **placing)


def binding(role: str, *subjects: str, domain: str = "commune", namespace: str = "org") -> Any:
    """Who has a role: e-mails, and names of groups."""
    spec = {
        "mailDomainRef": {"name": domain},
        "roleRef": {"name": role},
        "subjects": [_subject(subject) for subject in subjects],
    }
    return obj("MailDomainRoleBinding", f"{role}-{domain}", spec, namespace=namespace)


def group(name: str, *members: str, namespace: str = "org") -> Any:
    return obj("MailDomainGroup", name, {"members": members}, namespace=namespace)


def restriction(name: str = "old", *, restrict: bool = True, domain: str = "commune", **rows: str) -> Any:
    """Rows as service=group, in order."""
    groups = [{"service": service, "group": group} for service, group in rows.items()]
    return obj(
        "ServiceGroupRestriction", name, {"mailDomainRef": {"name": domain}, "restrict": restrict, "groups": groups}
    )


def link(upstream: str = "national/model", downstream: str = "commune", *, name: str = "link", **spec: Any) -> Any:
    namespace, _, upstream_name = upstream.partition("/")
    placing = {key: spec.pop(key) for key in ("namespace",) if key in spec}
    ends = {"upstream": {"namespace": namespace, "name": upstream_name}, "downstream": {"name": downstream}}
    return obj("MailDomainLink", name, ends | spec, **placing)


def _choice(chosen: Any, field: str) -> dict[str, Any]:
    return {"mode": chosen} if isinstance(chosen, str) else {"mode": "Selected", field: chosen}


def _subject(text: str) -> dict[str, str]:
    return {"kind": "User", "email": text} if "@" in text else {"kind": "Group", "name": text}


@dataclass
class Town:
    """What is declared and who is there. People are active and native unless something else is said."""

    declared: list[Any] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    inactive: Sequence[str] = ()
    superusers: Sequence[str] = ()
    admins: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By domain."""
    subscribed: Mapping[str, bool] = field(default_factory=dict)
    """By service, for the commune."""

    @property
    def court(self) -> Court:
        declared = list(self.declared)
        named = {item.id for item in declared if item.kind == "CatalogService"}
        declared += [service(name) for name in SERVICES if name not in named]
        domains = [item for item in declared if isinstance(item, MailDomain)]
        known = {(ResourceKey("org", "commune"), name): state for name, state in self.subscribed.items()}
        return convene(domains, Charter.of(declared), known)

    @property
    def census(self) -> Census:
        admins = itertools.chain.from_iterable(self.admins.values())
        everybody = dict.fromkeys([*self.people, *self.inactive, *self.superusers, *admins])
        people = [
            Person(f"id-{email}", Email(email), email not in self.inactive, email in self.superusers)
            for email in everybody
        ]
        return Census.of(people, {name: [f"id-{email}" for email in emails] for name, emails in self.admins.items()})

    def ask(
        self,
        actor: str | None,
        acting_as: str | None = None,
        *,
        domain: str | None = COMMUNE,
        service: str | Every | None = EVERY,
    ) -> Verdict:
        return resolve(self.court.realms, self.census, Question(domain, actor, acting_as, service))

    def opens(self, actor: str, acting_as: str | None = None, **question: Any) -> list[str] | None:
        """The services that are allowed; None when the gate is shut."""
        verdict = self.ask(actor, acting_as, **question)
        return [each.service for each in verdict.services if each.allowed] if verdict.gate == "Allowed" else None

    def reasons(self, actor: str, acting_as: str | None = None, **question: Any) -> dict[str, str]:
        return {each.service: each.reason.value for each in self.ask(actor, acting_as, **question).services}


PEOPLE = [f"{name}@commune.example" for name in "abcd"] + [f"{name}@other.example" for name in "ef"]
NAMES = ["one", "two", "gone"]
some = st.lists(st.sampled_from(PEOPLE), unique=True)


@st.composite
def towns(draw: st.DrawFn) -> Town:
    """Any small town: roles and bindings of any kind, restrictions on or off, subscriptions known or not."""
    chosen = st.one_of(st.sampled_from(["All", "None"]), st.lists(st.sampled_from(SERVICES), min_size=1, unique=True))
    declared: list[Any] = [
        maildomain(
            unassignedMembers=draw(st.sampled_from(["DefaultRole", "AllowAll"])),
            superuserAccess=draw(st.sampled_from(["All", "Restricted"])),
            legacyGroupRestrictions=draw(st.sampled_from(["Enabled", "Disabled"])),
            impersonationMode=draw(st.sampled_from(["Subject", "Intersection", None])),
            default=draw(st.sampled_from([None, *NAMES])),
        ),
        bought("drive"),
        service("meet", active=draw(st.booleans())),
        group("team", *draw(some)),
        group("desk", *draw(some)),
        *(
            role(name, draw(chosen), acts_as=draw(st.sampled_from([None, "All", ["a@commune.example"]])))
            for name in NAMES[:2]
        ),
        *(binding(name, "team", *draw(some)) for name in draw(st.lists(st.sampled_from(NAMES), unique=True))),
    ]
    if draw(st.booleans()):
        rows = draw(st.dictionaries(st.sampled_from(SERVICES), st.sampled_from(["team", "desk", "nobody"])))
        declared.append(restriction(restrict=draw(st.booleans()), **rows))
    return Town(
        declared=declared,
        people=PEOPLE,
        inactive=draw(some),
        superusers=draw(some),
        admins={COMMUNE: draw(some), "other.example": draw(some)},
        subscribed=draw(st.dictionaries(st.just("drive"), st.booleans())),
    )
