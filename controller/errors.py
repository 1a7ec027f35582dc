"""What can go wrong, named after what the caller can do about it.

    ControllerError
    ├── InvalidInput          fix the documents or the option; nothing was written           (exit 6)
    ├── Unavailable           wait and try again; nothing was decided                        (exit 7)
    │   ├── DatabaseUnavailable
    │   ├── ClusterUnavailable
    │   └── LeaseHeld         another process of this owner holds the lease
    ├── SchemaUnknown         the mail database is not the one that we know; nothing written (exit 7)
    ├── MigrationNeeded       run `maildomain-controller migrate`                            (exit 7)
    ├── PlanOutdated          the world moved between snapshot and write; plan again
    │   └── Frozen            somebody froze the database since the snapshot; nothing is written until it is lifted
    ├── NotAuthorized         the credential does not allow it; ask whoever gave it
    ├── SecretMissing         the reference names no readable key; what it guards is unknown, never empty
    └── ProviderUnusable      install the external provider, or correct its config; its answers are unknown, never empty

Messages are fixed texts with names of things in them: never an e-mail, a key, a body or a vendor's message that may
hold one (invariant 10).
"""

from dataclasses import dataclass


class ControllerError(Exception):
    """The root of every error that this project raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one document: where it is, what was found there (its type, not its value), what to do."""

    where: str
    """File and document, or kind and namespace/name."""
    path: str
    """Field path as in `spec.limits.revocations.max`; empty for the whole document."""
    found: str
    """What was found: a type or a shape, never a value that could be a secret or an e-mail."""
    remedy: str

    def __str__(self) -> str:
        place = f"{self.where}: {self.path}" if self.path else self.where
        return f"{place}: {self.found}; {self.remedy}"


class InvalidInput(ControllerError):  # noqa: N818  # named after what it says, as the whole tree is
    """Documents or options that can't be used. Carries every problem at once, so that one run shows them all."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Unavailable(ControllerError):  # noqa: N818
    """Something we need does not answer now."""


class DatabaseUnavailable(Unavailable):
    """The mail database does not answer, refused the login, or cut the connection."""


class ClusterUnavailable(Unavailable):
    """The Kubernetes API does not answer."""


class LeaseHeld(Unavailable):
    """Another process of the same owner holds the lease."""


class SchemaUnknown(ControllerError):  # noqa: N818
    """The application's tables are not of a known shape. `differences` names them column by column."""

    def __init__(self, differences: tuple[str, ...]) -> None:
        super().__init__("the mail database has an unknown schema: " + "; ".join(differences))
        self.differences = differences


class MigrationNeeded(ControllerError):  # noqa: N818
    """The controller's own tables are missing or of another version."""


class PlanOutdated(ControllerError):  # noqa: N818
    """The epoch moved or a row is no longer as planned: nothing was written, plan again."""


class Frozen(PlanOutdated):
    """Everything is frozen, by a row of the database or by `MDC_FREEZE`: nothing was written."""


class NotAuthorized(ControllerError):  # noqa: N818
    """The Kubernetes API or the database refused what the shipped RBAC and GRANTs allow."""


class SecretMissing(ControllerError):  # noqa: N818
    """A referenced Secret or key is not there or not readable."""


class ProviderUnusable(ControllerError):  # noqa: N818
    """An external provider of entitlements is not installed, or refuses what it was given."""
