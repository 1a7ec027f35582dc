"""When are two domain names, or two e-mail addresses, the same?

Matching folds A-Z and encodes non-ASCII names by strict IDNA 2008, nothing else: a Unicode lower() would let the
Kelvin sign match `k` (A-52, invariant 7).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, NewType

import idna
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

DomainName = NewType("DomainName", str)
"""A canonical domain name: lower-case ASCII, A-labels, 2 to 253 characters, no trailing dot."""

_A_TO_Z = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN_PATTERN = rf"^{_LABEL}(?:\.{_LABEL})*$"
_DOMAIN = re.compile(DOMAIN_PATTERN.removesuffix("$") + r"\Z")


class ResourceKey(NamedTuple):
    """Namespace and name of one resource; the namespace of a resource of the cluster is empty."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def fold(text: str) -> str:
    """Lower A-Z and leave every other character as it is."""
    return text.lower() if text.isascii() else text.translate(_A_TO_Z)


@lru_cache(maxsize=65_536)
def canonical_domain(text: str) -> DomainName | None:
    """Return the canonical form of a domain name, or None when the text is not one.

    Surrounding blanks are stripped, A-Z folded, non-ASCII encoded by IDNA 2008 without UTS 46 (A-35, D14).
    """
    name = fold(text.strip())
    if not name.isascii():
        try:
            name = idna.encode(name, strict=True, uts46=False).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None
    return DomainName(name) if 2 <= len(name) <= 253 and _DOMAIN.match(name) else None


def is_canonical(text: str) -> bool:
    """Tell whether a text is a domain name in canonical form already."""
    return canonical_domain(text) == text


@dataclass(frozen=True, slots=True, repr=False)
class Email:
    """An e-mail address exactly as stored. It masks itself wherever it is printed; `reveal` is for wire and journal."""

    _text: str

    def reveal(self) -> str:
        """The address itself. Never for logs, events, metrics, status or errors (invariant 10)."""
        return self._text

    @property
    def domain(self) -> DomainName | None:
        """The canonical domain part, or None when there is none."""
        return canonical_domain(self._text.rpartition("@")[2]) if "@" in self._text else None

    @property
    def key(self) -> str:
        """The form in which two addresses are compared: A-Z folded, the domain part in its canonical form."""
        text = self._text.strip()
        if text.isascii():
            # Nearly all are stored so: a key of its own would double what a hundred thousand of them take.
            return text if text.islower() else text.lower()
        local, at, host = text.rpartition("@")
        return fold(local) + at + (canonical_domain(host) or fold(host))

    def __str__(self) -> str:
        return f"***@{self.domain or '***'}"

    def __repr__(self) -> str:
        return f"Email({self})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(min_length=3, max_length=254, pattern=r"^[^@\x00-\x20]+@[^@\x00-\x20]+$")
        return core_schema.no_info_after_validator_function(
            cls, text, serialization=core_schema.plain_serializer_function_ser_schema(cls.reveal)
        )
