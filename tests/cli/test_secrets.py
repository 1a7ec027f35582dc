"""Secrets in file mode: the folder before documents, text only, and never a path out of the folder."""

from pathlib import Path

import pytest

from controller.cli.secrets import FileSecrets
from controller.errors import SecretMissing
from controller.resources.documents import Secret
from controller.resources.model import SecretKeyRef

REFERENCE = SecretKeyRef(name="dc", key="api-key")


def secret(value: str, namespace: str = "default") -> Secret:
    metadata = {"name": "dc", "namespace": namespace}
    return Secret.model_validate(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"api-key": value}}
    )


def mounted(folder: Path, content: bytes, namespace: str = "default") -> Path:
    path = folder / namespace / "dc"
    path.mkdir(parents=True)
    (path / "api-key").write_bytes(content)
    return folder


def test_a_document_of_the_same_namespace_is_found() -> None:
    assert FileSecrets((secret("a", "other"), secret("b")))("default", REFERENCE) == "b"


def test_the_folder_goes_before_documents(tmp_path: Path) -> None:
    secrets = FileSecrets((secret("placeholder"),), mounted(tmp_path, b"real"))
    assert secrets("default", REFERENCE) == "real"


def test_what_the_folder_does_not_have_comes_from_documents(tmp_path: Path) -> None:
    assert FileSecrets((secret("b"),), tmp_path)("default", REFERENCE) == "b"


@pytest.mark.parametrize("key", ["missing", "..", "."])
def test_a_key_that_is_not_there_is_missing_and_named_once(tmp_path: Path, key: str) -> None:
    secrets = FileSecrets((), mounted(tmp_path, b"real"))
    for _ in range(2):
        with pytest.raises(SecretMissing, match=r"Secret default/dc has no readable key"):
            secrets("default", SecretKeyRef(name="dc", key=key))
    assert len(secrets.missing) == 1


def test_bytes_that_are_no_text_are_missing_and_not_shown(tmp_path: Path) -> None:
    secrets = FileSecrets((), mounted(tmp_path, b"\xff\xfesecret"))
    with pytest.raises(SecretMissing) as raised:
        secrets("default", REFERENCE)
    assert "secret" not in str(raised.value).removeprefix("Secret").partition("--secrets-dir")[0]
    assert "real" not in repr(FileSecrets((secret("real"),)))
