"""Where does file mode find Secrets? In a folder of the kind that Kubernetes mounts, and in Secret documents."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from controller.errors import SecretMissing
from controller.resources.documents import Secret
from controller.resources.model import SecretKeyRef
from controller.resources.names import ResourceKey


@dataclass(frozen=True, slots=True)
class FileSecrets:
    """Secrets by namespace and reference. The folder goes before documents, which may hold placeholders."""

    documents: Iterable[Secret]
    folder: Path | None = None
    missing: dict[str, None] = field(default_factory=dict, repr=False)
    """What was asked for in vain, each text once: names and remedy, no content."""

    def __call__(self, namespace: str, reference: SecretKeyRef) -> str:
        """The text under one key. Raises `SecretMissing` for a key that is not there or holds no text."""
        try:
            content = self._mounted(namespace, reference)
            if content is None:
                content = self._declared(ResourceKey(namespace, reference.name), reference.key)
            return content.decode()
        except (OSError, UnicodeDecodeError, KeyError):
            place = f"Secret {namespace}/{reference.name} has no readable key {reference.key}"
            message = f"{place}; put a Secret document among the files, or DIR/NAMESPACE/NAME/KEY in --secrets-dir"
            self.missing[message] = None
            raise SecretMissing(message) from None

    def _mounted(self, namespace: str, reference: SecretKeyRef) -> bytes | None:
        path = self.folder / namespace / reference.name / reference.key if self.folder is not None else None
        return path.read_bytes() if path is not None and path.exists() else None

    def _declared(self, key: ResourceKey, entry: str) -> bytes:
        content = next((found for item in self.documents if item.key == key and (found := item.value(entry))), None)
        if content is None:
            raise KeyError
        return content
