"""What must an install of the operator say before it may start? Whose rows, which database, which namespaces."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from controller.errors import InvalidInput, Problem
from controller.maildb.connecting import read_url
from controller.messages.opening import Endpoint, read_endpoint
from controller.planning.features import ALL_FEATURES, Features
from controller.settings import Settings, database_url

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Install:
    """One install, complete and checked."""

    owner: str
    url: Callable[[], str] = field(repr=False)
    """The database URL, read at each new connection."""
    namespaces: frozenset[str]
    """Where MailDomains are; empty is the whole cluster."""
    source_namespaces: frozenset[str]
    """Where EntitlementSources are honoured; never empty."""
    health_port: int
    frozen: bool = False
    """Whether this process writes nothing."""
    features: Features = ALL_FEATURES
    """What may be managed by hand."""
    messages: Endpoint | None = None
    """Where domains are created; None where none are."""
    retention: timedelta | None = None
    """How long the journal is kept; None is for ever."""

    @property
    def watched(self) -> frozenset[str]:
        """The namespaces that are watched; empty is the whole cluster."""
        return self.namespaces | self.source_namespaces if self.namespaces else frozenset()


def read_install(settings: Settings) -> Install:
    """Check the settings for what `run` needs.

    Raises `InvalidInput` with all problems at once, and `DatabaseUnavailable` when the file of the URL can't be read.
    """
    problems = list(_missing(settings))
    sources = settings.source_namespaces or tuple(filter(None, (settings.pod_namespace,)))
    try:
        url = database_url(settings)
        read_url(url())
    except InvalidInput as error:
        problems += error.problems
    try:
        messages = read_endpoint(settings)
    except InvalidInput as error:
        problems += error.problems
    if problems:
        raise InvalidInput(*problems)
    assert settings.owner is not None, "it was missing otherwise"  # noqa: S101  # for the type checker
    return Install(
        settings.owner,
        url,
        frozenset(settings.namespaces),
        frozenset(sources),
        settings.health_port,
        settings.freeze,
        Features(settings.feature_maildomain_create, settings.feature_maildomain_manage_accesses),
        messages,
        timedelta(days=settings.journal_retention) if settings.journal_retention is not None else None,
    )


def _missing(settings: Settings) -> Iterator[Problem]:
    if settings.owner is None:
        remedy = "name who owns the rows that this install grants, and never change it"
        yield Problem("environment", "MDC_OWNER", "is not set", remedy)
    if not settings.source_namespaces and not settings.pod_namespace:
        remedy = "name the namespaces of EntitlementSources, or set POD_NAMESPACE"
        yield Problem("environment", "MDC_SOURCE_NAMESPACES", "is not set", remedy)
    for variable, names in (
        ("MDC_NAMESPACES", settings.namespaces),
        ("MDC_SOURCE_NAMESPACES", settings.source_namespaces),
        ("POD_NAMESPACE", (settings.pod_namespace,) if settings.pod_namespace else ()),
    ):
        if not all(_NAMESPACE.fullmatch(name) for name in names):
            yield Problem("environment", variable, "holds what is no name of a namespace", "write names, not patterns")
