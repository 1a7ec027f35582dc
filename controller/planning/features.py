"""What may be managed by hand here? The mail application's two feature flags, with its names and their meaning.

Off takes a capability away from people; what is there stays, and what machines do goes on (A-80, A-81).
"""

from dataclasses import dataclass

from controller.resources.maildomain import Ensure, MailDomain
from controller.resources.source import EntitlementSource


@dataclass(frozen=True, slots=True)
class Features:
    """Both flags, read once by the process."""

    maildomain_create: bool = True
    """Whether people may have domains created; the provisioning API may in any case."""
    maildomain_manage_accesses: bool = True
    """Whether people may say who administers a domain; the synchronisation goes on in any case."""

    def allow_creation(self, resource: MailDomain) -> bool:
        """Whether this resource may ask for what it asks for. A domain that is only waited for always may."""
        by_hand = resource.spec.provisioning.ensure is Ensure.CREATED and not resource.metadata.provisioned
        return self.maildomain_create or not by_hand

    def allow_denials(self, resource: MailDomain) -> bool:
        """Whether its `deniedAdmins` count; there are none to count in most."""
        return self.maildomain_manage_accesses or not resource.spec.denied_admins

    def allow_source(self, source: EntitlementSource) -> bool:
        """Whether the source may be asked: one that is written by hand only where accesses may be."""
        return self.maildomain_manage_accesses or source.spec.provider.static is None


ALL_FEATURES = Features()
"""What may be done where no flag says otherwise."""
