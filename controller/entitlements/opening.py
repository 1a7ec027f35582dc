"""How does a declared source become one that can be asked? Its provider, with the Secrets that it names."""

import hashlib
import ssl
from collections.abc import Callable

from controller.entitlements.deploycenter import DeployCenterSource, open_client
from controller.entitlements.local import LocalSource
from controller.entitlements.pacing import Lanes
from controller.entitlements.source import Source
from controller.entitlements.static import StaticSource, read_grants
from controller.errors import SecretMissing
from controller.resources.model import SecretKeyRef
from controller.resources.names import ResourceKey
from controller.resources.source import DeployCenter, EntitlementSource

Secret = Callable[[SecretKeyRef], str]
"""The text under one key of a Secret. Raises `SecretMissing`."""


def open_source(item: EntitlementSource, secret: Secret, lanes: Lanes) -> Source:
    """Make a client for a declared source. Raises `SecretMissing` when a Secret, or what it holds, can't be used."""
    provider = item.spec.provider
    if provider.deploy_center is not None:
        return _open_deploycenter(item.key, provider.deploy_center, secret, lanes)
    if provider.static is not None:
        return StaticSource(item.key, read_grants(provider.static))
    return LocalSource(item.key)


def fingerprint(item: EntitlementSource, secret: Secret) -> str:
    """A digest of everything that a client is made of, so that a rotated key makes a new one (incident 9)."""
    parts = [item.spec.provider.model_dump_json()]
    center = item.spec.provider.deploy_center
    if center is not None:
        parts.append(secret(center.api_key_secret_ref))
        if center.ca_bundle_secret_ref is not None:
            parts.append(secret(center.ca_bundle_secret_ref))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _open_deploycenter(key: ResourceKey, spec: DeployCenter, secret: Secret, lanes: Lanes) -> Source:
    api_key = secret(spec.api_key_secret_ref).strip()
    if not api_key or not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
        raise SecretMissing(f"{_name(key, spec.api_key_secret_ref)} holds no usable API key: printable ASCII, no blank")
    ca_bundle = secret(spec.ca_bundle_secret_ref) if spec.ca_bundle_secret_ref is not None else None
    try:
        client = open_client(spec, api_key, ca_bundle)
    except (ssl.SSLError, ValueError):
        reference = spec.ca_bundle_secret_ref
        place = _name(key, reference) if reference is not None else f"EntitlementSource {key}"
        raise SecretMissing(f"{place} holds no usable CA bundle: PEM certificates") from None
    lane = lanes.lane(spec.url, api_key)
    lane.limit(key, rate=spec.requests_per_second, concurrency=spec.concurrency)
    return DeployCenterSource(key, spec, lane, client)


def _name(key: ResourceKey, reference: SecretKeyRef) -> str:
    return f"Secret {key.namespace}/{reference.name}, key {reference.key},"
