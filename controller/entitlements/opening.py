"""How does a declared source become one that can be asked? Its provider, its Secrets and its lane."""

import hashlib
import ssl
from collections.abc import Callable

import httpx

from controller.entitlements.deploycenter import DeployCenterSource
from controller.entitlements.external import open_external
from controller.entitlements.local import LocalSource
from controller.entitlements.pacing import Lanes, Pace
from controller.entitlements.source import Source
from controller.entitlements.static import StaticSource
from controller.errors import InvalidInput, Problem, SecretMissing
from controller.resources.model import SecretKeyRef
from controller.resources.names import ResourceKey
from controller.resources.source import DeployCenter, EntitlementSource, MetricsPush

Secret = Callable[[SecretKeyRef], str]
"""The text of one key of one Secret of the source's namespace. Raises `SecretMissing`."""


def open_source(source: EntitlementSource, secret: Secret, lanes: Lanes) -> Source:
    """Open what a resource declares; nothing is asked yet. Sources of one address and key share a lane.

    Raises `SecretMissing` when a Secret is not there or holds no usable key or certificate, `ProviderUnusable` when an
    external provider can't be opened, and `InvalidInput` when the URL is none or the environment names a proxy that
    can't be used.
    """
    provider = source.spec.provider
    if provider.static is not None:
        return StaticSource(source.key, provider.static)
    if provider.deploy_center is not None:
        return _open_deploy_center(source.key, provider.deploy_center, secret, lanes)
    if provider.external is not None:
        return open_external(source.key, provider.external, tuple(secret(ref) for ref in provider.secret_refs))
    return LocalSource(source.key)


def fingerprint(source: EntitlementSource, secret: Secret) -> str:
    """A text that changes when the provider or the content of one of its Secrets does. Raises `SecretMissing`."""
    digest = hashlib.sha256()
    for part in (source.spec.provider.model_dump_json(), *(secret(ref) for ref in source.spec.provider.secret_refs)):
        digest.update(hashlib.sha256(part.encode(errors="surrogatepass")).digest())
    return digest.hexdigest()


def _open_deploy_center(key: ResourceKey, spec: DeployCenter, secret: Secret, lanes: Lanes) -> Source:
    _check_url(key, spec.url)
    api_key = _read_api_key(key, spec.api_key_secret_ref, secret)
    tls = _trust(key, spec.ca_bundle_secret_ref, secret) if spec.ca_bundle_secret_ref is not None else None
    pace = Pace(spec.requests_per_second, spec.concurrency)
    lane = lanes.join(spec.url, api_key, pace)
    posting = lanes.postings.about(spec.url) if spec.metrics_push is MetricsPush.AUTO else None
    try:
        return DeployCenterSource(key, spec, api_key=api_key, tls=tls, lane=lane, pace=pace, posting=posting)
    except (httpx.InvalidURL, ValueError, ImportError):
        lane.leave(pace)
        variables = "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY"
        remedy = "write http://HOST:PORT or https://HOST:PORT"
        raise InvalidInput(Problem("environment", variables, "a proxy that can't be used", remedy)) from None


def _check_url(key: ResourceKey, url: str) -> None:
    """Ask the library that will use it: what a pattern lets through may still be no address."""
    try:
        usable = (httpx.URL(url).port or 1) <= 65535
    except httpx.InvalidURL:
        usable = False
    if not usable:
        place = f"EntitlementSource {key}"
        remedy = "write https://HOST/PATH, with a port from 1 to 65535 if any"
        raise InvalidInput(Problem(place, "spec.provider.deployCenter.url", "an address that is none", remedy))


def _read_api_key(key: ResourceKey, reference: SecretKeyRef, secret: Secret) -> str:
    """Strip the newline that editors add. The service answers 500 to a byte that is not ASCII."""
    text = secret(reference).strip()
    if not (text and text.isascii() and text.isprintable()):
        raise SecretMissing(
            f"Secret {key.namespace}/{reference.name} holds no usable API key at {reference.key}: "
            "write one line of printable ASCII"
        )
    return text


def _trust(key: ResourceKey, reference: SecretKeyRef, secret: Secret) -> ssl.SSLContext:
    """Trust these certificate authorities and no others: an empty bundle is refused, not the system's instead."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    certificates = secret(reference).encode("ascii", "ignore").decode("ascii")  # comments may hold anything
    try:
        context.load_verify_locations(cadata=certificates)
    except (ssl.SSLError, ValueError):
        raise SecretMissing(
            f"Secret {key.namespace}/{reference.name} holds no usable CA bundle at {reference.key}: "
            "write certificates in PEM form"
        ) from None
    return context
