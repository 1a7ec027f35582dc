"""Under which terms was an object last let revoke, and what is different now? An upgrade and an edit are looked at.

What only the pace of asking depends on is no term. Neither are the grants of a static source: those are its answers.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from controller.resources.maildomain import MailDomain, Mode, Ownership
from controller.resources.names import ResourceKey
from controller.resources.source import EntitlementSourceSpec, Provider

VERSION = "version"
PROVIDER = "provider"
MODE = "mode"
OWNERSHIP = "ownership"
SOURCE_REFS = "sourceRefs"

_DECIDES = {"url", "service_id", "organization", "api_key_secret_ref"}
"""What of a DeployCenter decides whose answers they are."""


def terms_of_source(spec: EntitlementSourceSpec, version: str) -> str:
    """The terms of one source, under one version of this program."""
    return _written({VERSION: version, PROVIDER: _digest(_content(spec.provider))})


def terms_of_domain(resource: MailDomain, mode: Mode) -> str:
    """The terms of one MailDomain, in the mode that counts."""
    return _of_domain(mode, resource.spec.ownership, resource.source_keys)


# Thousands of domains share a few.
@lru_cache(maxsize=1024)
def _of_domain(mode: Mode, ownership: Ownership, sources: tuple[ResourceKey, ...]) -> str:
    references = _digest(sorted(map(str, sources)))
    return _written({MODE: mode.value, OWNERSHIP: ownership.value, SOURCE_REFS: references})


def changed(before: str | None, now: str) -> tuple[str, ...]:
    """What differs, by name. An object whose terms nobody has noted was last judged by an older version."""
    if before is None:
        return (VERSION,)
    if before == now:
        return ()
    known = _read(before)
    return tuple(name for name, value in _read(now).items() if known.get(name) != value)


def _content(provider: Provider) -> Iterator[str]:
    if provider.deploy_center is not None:
        yield "deployCenter"
        yield provider.deploy_center.model_dump_json(include=_DECIDES)
    elif provider.external is not None:
        yield "external"
        yield provider.external.model_dump_json()
    else:
        yield "static" if provider.static is not None else "local"


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]


def _written(terms: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in terms.items())


def _read(terms: str) -> Mapping[str, str]:
    return dict(part.split("=", 1) for part in terms.split())
