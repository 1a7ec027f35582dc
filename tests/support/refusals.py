"""What must be refused, and with which words? One table for the offline rules, the models and the real API server."""

from dataclasses import dataclass
from typing import Any

from tests.support.declared import DEPLOY_CENTER, STATIC, WHOLE, Absent, Step, changed

LONG_LABEL = "a" * 64
LONG_NAME = ".".join(["a" * 62] * 5)


@dataclass(frozen=True, slots=True)
class Refused:
    """One valid object with one thing wrong."""

    title: str
    kind: str
    steps: tuple[Step, ...]
    value: object
    path: str
    """Where the refusal points, as the server writes it."""
    words: str
    """What it says, at least."""

    @property
    def obj(self) -> dict[str, Any]:
        return changed(WHOLE[self.kind], *self.steps, to=self.value)


def _maildomain(title: str, path: str, value: object, words: str, *, at: str = "") -> Refused:
    return Refused(title, "MailDomain", _steps(path), value, at or path, words)


def _source(title: str, path: str, value: object, words: str, *, at: str = "") -> Refused:
    return Refused(title, "EntitlementSource", _steps(path), value, at or path, words)


def _of(kind: str, title: str, path: str, value: object, words: str, *, at: str = "") -> Refused:
    return Refused(title, kind, _steps(path), value, at or path, words)


def _steps(path: str) -> tuple[Step, ...]:
    parts = path.replace("[", ".").replace("]", "").split(".")
    return tuple(int(part) if part.isdecimal() else part for part in parts)


_ATTRIBUTES = "spec.provisioning.customAttributes"
_DC = "spec.provider.deployCenter"
_CANONICAL = "spec.domain must be a domain name in lower-case ASCII: write commune.fr"
_MAX = "spec.limits.revocations.max must be a share from 0% to 100% or a whole number"
_WINDOW = "spec.limits.revocations.window must be a duration from 1h to 720h"
_BOTH = "spec.deniedAdmins and spec.protectedAdmins must not name the same e-mail: remove it from one of them"
_STALE = "spec.staleAfter must be at least twice spec.interval: raise staleAfter or shorten interval"
_PROVIDER = (
    "spec.provider must have exactly one of deployCenter, static, local and external: set one and remove the others"
)
_ACCESS = "spec.serviceAccess.services must be set for mode Selected and for no other: name at least one service"
_IMPERSONATION = "spec.impersonation.subjects must be set for mode Selected and for no other: name at least one subject"
_SUBJECT = "must have an email for kind User and a name for kind Group: set the one and remove the other"
_ROLE, _BINDING, _RESTRICTION = "MailDomainRole", "MailDomainRoleBinding", "ServiceGroupRestriction"
_URL = f"{_DC}.url must be an address without user, query and fragment: write https://HOST/PATH"

RULES = (
    _maildomain("a name in capitals", "spec.domain", "Commune.fr", _CANONICAL),
    _maildomain("a name that is not ASCII", "spec.domain", "évreux.fr", _CANONICAL),
    _maildomain("the Kelvin sign", "spec.domain", "\u212aommune.fr", _CANONICAL),
    _maildomain("a trailing dot", "spec.domain", "commune.fr.", _CANONICAL),
    _maildomain("a blank around a name", "spec.domain", " commune.fr", _CANONICAL),
    _maildomain("an e-mail for a name", "spec.domain", "dsi@commune.fr", _CANONICAL),
    _maildomain("a label of 64", "spec.domain", f"{LONG_LABEL}.fr", _CANONICAL),
    _maildomain("an e-mail both protected and denied", "spec.deniedAdmins", ["dsi@commune.example"], _BOTH),
    _maildomain("minAdmins above maxAdmins", "spec.limits.minAdmins", 21, "spec.limits.minAdmins must not exceed"),
    _maildomain(
        "minAdmins above the default", "spec.limits", {"minAdmins": 51}, "must not exceed", at="spec.limits.minAdmins"
    ),
    _maildomain("more than 100%", "spec.limits.revocations.max", "101%", _MAX),
    _maildomain("a count in quotes", "spec.limits.revocations.max", "3", _MAX),
    _maildomain("a negative count", "spec.limits.revocations.max", -1, _MAX),
    _maildomain("a window below 1h", "spec.limits.revocations.window", "59m", _WINDOW),
    _maildomain("a window above 720h", "spec.limits.revocations.window", "720h1s", _WINDOW),
    _maildomain("a window in days", "spec.limits.revocations.window", "1d", _WINDOW),
    _maildomain(
        "an attribute with a long name",
        _ATTRIBUTES,
        {"a" * 65: "x"},
        f"{_ATTRIBUTES} must have names of 1 to 64 characters",
    ),
    _of(
        _ROLE,
        "Selected without services",
        "spec.serviceAccess",
        {"mode": "Selected"},
        _ACCESS,
        at="spec.serviceAccess.services",
    ),
    _of(_ROLE, "All with services", "spec.serviceAccess.mode", "All", _ACCESS, at="spec.serviceAccess.services"),
    _of(_ROLE, "None with services", "spec.serviceAccess.mode", "None", _ACCESS, at="spec.serviceAccess.services"),
    _of(
        _ROLE,
        "impersonation of nobody selected",
        "spec.impersonation.subjects",
        Absent,
        _IMPERSONATION,
        at="spec.impersonation.subjects",
    ),
    _of(_ROLE, "a user without an e-mail", "spec.impersonation.subjects[0]", {"kind": "User", "name": "a"}, _SUBJECT),
    _of(_BINDING, "a group without a name", "spec.subjects[1]", {"kind": "Group"}, _SUBJECT),
    _of(_BINDING, "a user with a name as well", "spec.subjects[0].name", "a", _SUBJECT, at="spec.subjects[0]"),
    _of(
        _RESTRICTION,
        "two rows of one service",
        "spec.groups",
        [{"service": "a", "group": "b"}, {"service": "a", "group": "c"}],
        "spec.groups must have one row a service",
    ),
    _source("no provider", "spec.provider", {}, _PROVIDER),
    _source("two providers", "spec.provider", {"local": {}, "static": STATIC}, _PROVIDER),
    _source("external beside local", "spec.provider", {"local": {}, "external": {"name": "a"}}, _PROVIDER),
    _source(
        "a setting without a name",
        "spec.provider",
        {"external": {"name": "a", "config": {"": 1}}},
        "spec.provider.external.config must have names of 1 to 64 characters: correct the name",
        at="spec.provider.external.config",
    ),
    _source(
        "three providers", "spec.provider", {"local": {}, "static": STATIC, "deployCenter": DEPLOY_CENTER}, _PROVIDER
    ),
    _source("staleAfter below two intervals", "spec.staleAfter", "19m59s", _STALE),
    _source("an interval above half of staleAfter", "spec.interval", "15m1s", _STALE, at="spec.staleAfter"),
    _source("an interval below 1m", "spec.interval", "59s", "spec.interval must be a duration from 1m to 24h"),
    _source("an interval in days", "spec.interval", "1d", "spec.interval must be a duration from 1m to 24h"),
    _source("minutes before hours", "spec.interval", "5m1h", "spec.interval must be a duration from 1m to 24h"),
    _source("a fraction of a duration", "spec.interval", "1.5m", "spec.interval must be a duration from 1m to 24h"),
    _source(
        "a discovery below 1m",
        "spec.discoveryInterval",
        "30s",
        "spec.discoveryInterval must be a duration from 1m to 168h",
    ),
    _source(
        "a discovery above 168h",
        "spec.discoveryInterval",
        "169h",
        "spec.discoveryInterval must be a duration from 1m to 168h",
    ),
    _source("staleAfter above 168h", "spec.staleAfter", "168h1s", "spec.staleAfter must be a duration from 2m to 168h"),
    _source(
        "http",
        f"{_DC}.url",
        "http://dc.example/",
        f"{_DC}.url must start with https://: correct it, or set insecureHTTP: true",
    ),
    _source("another scheme", f"{_DC}.url", "ftp://dc.example/", _URL),
    _source("a password in the address", f"{_DC}.url", "https://me:secret@dc.example/", _URL),
    _source("a query in the address", f"{_DC}.url", "https://dc.example/?a=b", _URL),
    _source("a blank in the address", f"{_DC}.url", "https://dc.example/a b", _URL),
    _source("no time at all for an answer", f"{_DC}.timeout", "0s", f"{_DC}.timeout must be a duration from 1s to 2m"),
    _source("a timeout above 2m", f"{_DC}.timeout", "2m1s", f"{_DC}.timeout must be a duration from 1s to 2m"),
    _source(
        "a confirmation after a day",
        "spec.confirmRevocations.after",
        "24h",
        "spec.confirmRevocations.after must be a duration from 0s to 1h",
    ),
    _source("a share without a number", "spec.limits.revocations.max", "%", _MAX),
    _source("a window of nothing", "spec.limits.revocations.window", "0s", _WINDOW),
    _source(
        "a suffix of one letter",
        "spec.consumers[0].domains[1]",
        "*.x",
        "spec.consumers[].domains must name a suffix of at least two characters after *.",
    ),
)
"""Refused by a rule, with our own words."""

SHAPES = (
    _maildomain("no domain", "spec.domain", Absent, "required"),
    _maildomain("no mode", "spec.mode", Absent, "required"),
    _maildomain("no sources", "spec.sourceRefs", Absent, "required"),
    _maildomain("an empty list of sources", "spec.sourceRefs", [], "should have at least 1 items"),
    _maildomain("nine sources", "spec.sourceRefs", [{"name": "a"}] * 9, "must have at most 8 items"),
    _maildomain("a name of 254 and more", "spec.domain", LONG_NAME, "may not be more than 253"),
    _maildomain("a mode in small letters", "spec.mode", "enforce", "supported values"),
    _maildomain("an unknown adoption", "spec.adoption", "Some", "supported values"),
    _maildomain("an unknown ownership", "spec.ownership", "Mine", "supported values"),
    _maildomain("a domain that is neither there nor made", "spec.provisioning.ensure", "Absent", "supported values"),
    _maildomain("a switch in words", "spec.provisioning.oidcAutojoin", "yes", "must be of type boolean"),
    _maildomain("attributes in a list", _ATTRIBUTES, ["siret"], "must be of type object"),
    _maildomain("33 attributes", _ATTRIBUTES, {f"a{i}": i for i in range(33)}, "must have at most 32 items"),
    _maildomain("a list in an attribute", f"{_ATTRIBUTES}.siret", ["a"], "must be of type integer,string"),
    _maildomain("half an attribute", f"{_ATTRIBUTES}.siret", 1.5, "must be of type integer,string"),
    _maildomain("a siret of 13 digits", "spec.organization.siret", "2159035010001", "should match"),
    _maildomain("a siret as a number", "spec.organization.siret", 21590350100017, "must be of type string"),
    _maildomain("no e-mail", "spec.protectedAdmins[0]", "dsi", "should match"),
    _maildomain("an e-mail with a line break", "spec.protectedAdmins[0]", "dsi@commune.fr\n", "should match"),
    _maildomain(
        "129 e-mails", "spec.protectedAdmins", [f"a{i}@x.fr" for i in range(129)], "must have at most 128 items"
    ),
    _maildomain("no administrator allowed", "spec.limits.maxAdmins", 0, "greater than or equal to 1"),
    _maildomain("nobody's e-mail allowed", "spec.limits.adminEmailDomains", [], "should have at least 1 items"),
    _maildomain("an e-mail for its domain", "spec.limits.adminEmailDomains[0]", "dsi@commune.example", "should match"),
    _maildomain("a suffix of e-mail domains", "spec.limits.adminEmailDomains[0]", "*.example", "should match"),
    _maildomain("a limit without a maximum", "spec.limits.revocations.max", Absent, "required"),
    _maildomain("half an administrator", "spec.limits.revocations.max", 1.5, "must be of type integer,string"),
    _maildomain("a source that is no name", "spec.sourceRefs[0].name", "Deploy Center", "should match"),
    _source("no serviceId", f"{_DC}.serviceId", Absent, "required"),
    _source("no key", f"{_DC}.apiKeySecretRef", Absent, "required"),
    _source("a serviceId in quotes", f"{_DC}.serviceId", "42", "must be of type integer"),
    _source("33 at once", f"{_DC}.concurrency", 33, "less than or equal to 32"),
    _source("none at once", f"{_DC}.concurrency", 0, "greater than or equal to 1"),
    _source("1001 a second", f"{_DC}.requestsPerSecond", 1001, "less than or equal to 1000"),
    _source("nine pivots", f"{_DC}.organization.pivotSirets", ["21590350100017"] * 9, "must have at most 8 items"),
    _source("a claim with a blank", f"{_DC}.organization.claims[0]", "a b", "should match"),
    _source(
        "nobody granted anything",
        "spec.provider",
        {"static": {"grants": []}},
        "should have at least 1 items",
        at="spec.provider.static.grants",
    ),
    _source("17 canaries", "spec.canaries", [{"email": "a@x.fr", "domains": []}] * 17, "must have at most 16 items"),
    _source("a canary without an answer", "spec.canaries[0].domains", Absent, "required"),
    _source("a canary without an e-mail", "spec.canaries[0].email", "canari", "should match"),
    _source("a canary of a domain in capitals", "spec.canaries[0].domains[0]", "Commune.fr", "should match"),
    _source(
        "an external provider without a name",
        "spec.provider",
        {"external": {"config": {}}},
        "required",
        at="spec.provider.external.name",
    ),
    _source(
        "an external provider in capitals",
        "spec.provider",
        {"external": {"name": "Ldap"}},
        "should match",
        at="spec.provider.external.name",
    ),
    _source("a namespace in capitals", "spec.consumers[0].namespaces[0]", "Org", "should match"),
    _source("a star within a name", "spec.consumers[0].domains[1]", "a.*.fr", "should match"),
    _source("suspend in words", "spec.suspend", "yes", "must be of type boolean"),
    _of(_ROLE, "Selected with an empty list", "spec.serviceAccess.services", [], "should have at least 1 items"),
    _of(_ROLE, "an empty service id", "spec.serviceAccess.services[0]", "", "should be at least 1 chars long"),
    _of(_ROLE, "a role that says nothing about services", "spec.serviceAccess", Absent, "required"),
    _of(_ROLE, "impersonation without a mode", "spec.impersonation.mode", Absent, "required"),
    _of(_BINDING, "a binding of nobody", "spec.subjects", [], "should have at least 1 items"),
    _of(_BINDING, "a subject of another kind", "spec.subjects[0].kind", "Everybody", "supported values"),
    _of("MailDomainGroup", "no e-mail", "spec.members[0]", "adjointe", "should match"),
    _of("MailDomainLink", "an upstream without a namespace", "spec.upstream.namespace", Absent, "required"),
    _of("MailDomainLink", "no role at all", "spec.roles.matchNames", [], "should have at least 1 items"),
    _of("MailDomainLink", "another policy", "spec.conflictPolicy", "Merge", "supported values"),
    _of("CatalogService", "no type", "spec.type", Absent, "required"),
    _of("CatalogService", "no e-mail to ask with", "spec.subscription.probeEmail", Absent, "required"),
    _of(_RESTRICTION, "no word on restrict", "spec.restrict", Absent, "required"),
    _of(_RESTRICTION, "a row without a group", "spec.groups[0].group", Absent, "required"),
    _maildomain("no service", "spec.serviceAccess.services", [], "should have at least 1 items"),
    _maildomain("a service without a name", "spec.serviceAccess.services[0].name", None, "required"),
    _maildomain("another enforcement", "spec.serviceAccess.enforcement", "Dry", "supported values"),
    _maildomain("consent to no namespace", "spec.serviceAccess.allowedDownstreams[0].namespace", "*", "should match"),
)
"""Refused by type, bound, pattern or enum, with the server's words."""

UNKNOWN = (
    _maildomain("a misspelt field of services", "spec.serviceAccess.service", [], "unknown field"),
    _of("MailDomainGroup", "names for e-mails", "spec.names", ["a"], "unknown field"),
    _maildomain("a misspelt limit", "spec.limits.adminEmailDomain", ["a.fr"], "unknown field"),
    _maildomain("a misspelt field", "spec.sourceRef", [], "unknown field"),
    _maildomain("a field in snake case", "spec.source_refs", [{"name": "a"}], "unknown field"),
    _source("more in a canary", "spec.canaries[0].siret", "21590350100017", "unknown field"),
    _source("something in local", "spec.provider.local.always", "yes", "unknown field"),
)
"""Unknown fields: refused by strict clients, ignored by others."""
