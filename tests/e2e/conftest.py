"""Where does the end-to-end layer run? On a real API server, each test in its own namespace."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.apiserver import Assets, AssetsMissingError, ControlPlane
from tests.support.kubectl import Kubectl
from tests.support.operator import install

REQUIRED = "MDC_REQUIRE_ENVTEST"
START_AND_TEST = 180

skipped = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The API server of this session. Raises AssetsMissingError where the layer is required and can't run."""
    with ControlPlane(Assets.find(), tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="session")
def kubeconfig(control_plane: ControlPlane) -> Path:
    """Who the operator is: the ServiceAccount of manifests/. Whoever deletes what is installed installs it again."""
    return install(control_plane)


@pytest.fixture
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """The cluster as its administrator."""
    return control_plane.kubectl


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A fresh namespace; gone with all it holds after the test. Cluster-scoped objects are the test's to delete."""
    with control_plane.namespace() as name:
        yield name


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the layer where it can't run and is not required; leave whichever test comes first the time to start it."""
    here = Path(__file__).parent
    layer = [item for item in items if item.path.is_relative_to(here) and "control_plane" in fixtures_of(item)]
    reason = reason_to_skip()
    if layer and reason:
        config.stash[skipped] = f"{reason}; {len(layer)} tests did not run"
    for item in layer:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(START_AND_TEST))
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))  # told loudly at the end; CI requires the layer instead


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if skipped in config.stash:
        terminalreporter.write_line(f"END-TO-END LAYER SKIPPED: {config.stash[skipped]}", red=True, bold=True)


def fixtures_of(item: pytest.Item) -> list[str]:
    """The fixtures of a test, those of its fixtures included."""
    return item.fixturenames if isinstance(item, pytest.Function) else []


def reason_to_skip() -> str | None:
    if os.environ.get(REQUIRED) == "1":
        return None
    try:
        Assets.find()
    except AssetsMissingError as error:
        return str(error)
    return None
