"""What does a kustomization render? As kubectl renders it."""

import shutil
import subprocess
from typing import Any

import yaml

from tests.envtest import build
from tests.support.crd import ROOT

Manifest = dict[str, Any]


def rendered(folder: str) -> list[Manifest]:
    """The objects of one folder of the project. A warning is an error."""
    kubectl = shutil.which("kubectl") or shutil.which("kubectl", path=build.find() or "")
    assert kubectl, "there is no kubectl: install it, or run `make envtest`, which builds one"
    output = subprocess.run([kubectl, "kustomize", str(ROOT / folder)], capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr
    assert output.stderr == "", "kustomize warns"
    return list(yaml.safe_load_all(output.stdout))
