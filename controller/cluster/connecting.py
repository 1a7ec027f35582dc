"""Where is the API server, and who are we for it? `KUBECONFIG`, else the pod's service account."""

import os
import time
from dataclasses import dataclass, field
from typing import Any

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from yaml import YAMLError

from controller.errors import InvalidInput, Problem

_HOME_CONFIG = "~/.kube/config"
_REREAD = 60.0
"""Seconds after which the token of a kubeconfig is read again, as the client does with a pod's."""


@dataclass(frozen=True, slots=True)
class Access:
    """How somebody else speaks to the same API server as the same user."""

    server: str
    authorization: str | None = field(repr=False)
    """The header, with its scheme."""
    ca_file: str | None
    ca_data: str | bytes | None
    certificate_file: str | None
    key_file: str | None
    verify: bool
    proxy: str | None


async def open_client() -> ApiClient:
    """A client of the API server, to be closed. Raises `InvalidInput` when nothing usable says where that is."""
    configuration = Configuration()
    named = os.environ.get("KUBECONFIG")
    try:
        if named or "KUBERNETES_SERVICE_HOST" not in os.environ:
            await _load_file(named or _HOME_CONFIG, configuration)
        else:
            load_incluster_config(client_configuration=configuration)
        return ApiClient(configuration)
    except (ConfigException, OSError, YAMLError, ValueError, TypeError, AttributeError):
        # The last three are what the client makes of a file that is YAML and no kubeconfig.
        remedy = "name a kubeconfig whose current context is usable, or run in a pod with a service account"
        raise InvalidInput(Problem("environment", "KUBECONFIG", "leads to no API server", remedy)) from None


async def access_of(configuration: Configuration) -> Access:
    """The same access for somebody else, with the token as it is now."""
    return Access(
        server=configuration.host,
        authorization=await configuration.get_api_key_with_prefix("BearerToken"),
        ca_file=configuration.ssl_ca_cert,
        ca_data=configuration.ca_cert_data,
        certificate_file=configuration.cert_file,
        key_file=configuration.key_file,
        verify=configuration.verify_ssl,
        proxy=configuration.proxy,
    )


async def _load_file(path: str, configuration: Any) -> None:
    # Any: what the client infers of its own fields is too narrow, such as None for a hook that it calls when it is set.
    loader = await load_kube_config(path, client_configuration=configuration, persist_config=False)
    read_at = time.monotonic()

    async def reread(target: Configuration) -> None:
        nonlocal read_at
        if time.monotonic() - read_at >= _REREAD:
            await loader.load_and_set(target)
            read_at = time.monotonic()

    configuration.refresh_api_key_hook = reread
