#!/usr/bin/env python3
"""Where are the programs that tests run beside Python? Builds them once when they are nowhere.

They are the kube-apiserver, kubectl and etcd of the end-to-end layer, and the `TOOLS`, each a Go module of its own. The
last line on stdout is the folder of the API server, for `KUBEBUILDER_ASSETS`; everything else goes to stderr.
Needs Python alone while they are there, Go of at least `GO_NEEDED` to build them.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

MODULE = Path(__file__).resolve().parent
GO_NEEDED = (1, 26)
NEEDED = ("kube-apiserver", "etcd")
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
TOOLS = {
    "helm": "helm.sh/helm/v3/cmd/helm",
    "kstatus": ".",
    "promtool": "github.com/prometheus/prometheus/cmd/promtool",
}
"""Programs of single tests by name, each built in the folder of that name."""


class BuildError(Exception):
    """Nothing to run and no way to build it; the text is the remedy."""


def find() -> Path | None:
    """The first folder that holds the binaries: the user's own, else the one built earlier. Never builds."""
    candidates = [cached()]
    if own := os.environ.get("KUBEBUILDER_ASSETS"):
        candidates.insert(0, Path(own).resolve())
    return next((folder for folder in candidates if is_complete(folder)), None)


def find_tool(name: str) -> Path | None:
    """One of `TOOLS`, of exactly the version that its module pins, or None while it is not built. Never builds."""
    program = tool_folder(name) / name
    return program if os.access(program, os.X_OK) else None


def cached() -> Path:
    """The folder of this exact set of modules, outside the checkout, so that every checkout shares it."""
    modules = hashlib.sha256((MODULE / "go.mod").read_bytes() + (MODULE / "go.sum").read_bytes()).hexdigest()
    return cache() / f"{kubernetes_version()}-{modules[:12]}"


def tool_folder(name: str) -> Path:
    """The folder of one tool: it changes with anything that the tool is made of."""
    sources = b"".join(path.read_bytes() for path in sorted((MODULE / name).iterdir()))
    return cache() / f"{name}-{hashlib.sha256(sources).hexdigest()[:12]}"


def cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "maildomain-controller" / "envtest"


def is_complete(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in NEEDED)


def kubernetes_version() -> str:
    found = re.search(r"^\s+k8s\.io/kubernetes (v\S+)", (MODULE / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise BuildError(f"{MODULE / 'go.mod'} names no version of k8s.io/kubernetes")
    return found[1]


def build(target: Path, module: Path, packages: Mapping[str, str]) -> None:
    """Build all of `packages` beside `target` and rename the folder into place, so that it is there whole or not."""
    go = require_go(module)
    say(f"{', '.join(packages)}: built once (some minutes) into {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as scratch:
        whole = Path(scratch) / target.name
        for name, package in packages.items():
            compile_package(go, module, package, whole / name)
        try:
            whole.rename(target)
        except OSError:
            # Somebody else built the same modules meanwhile: theirs is as good.
            if not all(os.access(target / name, os.X_OK) for name in packages):
                raise


def require_go(module: Path) -> str:
    needed = ".".join(map(str, GO_NEEDED))
    own = f"set KUBEBUILDER_ASSETS to a folder that holds {' and '.join(NEEDED)}"
    remedy = f"install Go >= {needed} (https://go.dev/dl/), or {own}"
    go = shutil.which("go")
    if go is None:
        raise BuildError(f"no Go on PATH: {remedy}")
    # Asked inside the module, so that a Go that fetches newer toolchains by itself answers for the one it would use.
    asked = subprocess.run([go, "env", "GOVERSION"], cwd=module, capture_output=True, text=True, check=False)
    version = re.match(r"go(\d+)\.(\d+)", asked.stdout)
    if asked.returncode != 0 or not version or (int(version[1]), int(version[2])) < GO_NEEDED:
        raise BuildError(f"{go} is {asked.stdout.strip() or asked.stderr.strip() or 'no Go'}: {remedy}")
    return go


def compile_package(go: str, module: Path, package: str, output: Path) -> None:
    say(f"building {output.name} from {package} ...")
    started = time.monotonic()
    flags = f"-s -w -X k8s.io/component-base/version.gitVersion={kubernetes_version()}"
    command = [
        go,
        "build",
        "-mod=readonly",
        "-buildvcs=false",
        "-trimpath",
        "-ldflags",
        flags,
        "-o",
        str(output),
        package,
    ]
    # Without cgo the result depends on neither a C compiler nor the C library of this machine.
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    if subprocess.run(command, cwd=module, env=environment, stdout=sys.stderr, check=False).returncode != 0:
        raise BuildError(f"go could not build {package}: its words are above")
    say(f"built {output.name} in {time.monotonic() - started:.0f} s")


def say(text: str) -> None:
    sys.stderr.write(f"envtest: {text}\n")


def main() -> int:
    try:
        folder = find()
        if folder is None:
            folder = cached()
            build(folder, MODULE, PACKAGES)
        else:
            say(f"using {folder}")
        if (own := os.environ.get("KUBEBUILDER_ASSETS")) and Path(own).resolve() != folder:
            say(f"KUBEBUILDER_ASSETS={own} is not used: it does not hold {' and '.join(NEEDED)}")
        for name, package in TOOLS.items():
            if find_tool(name) is None:
                build(tool_folder(name), MODULE / name, {name: package})
    except BuildError as error:
        say(str(error))
        return 1
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
