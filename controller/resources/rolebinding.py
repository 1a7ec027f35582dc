"""What is a MailDomainRoleBinding? Who has which role in which mail domain."""

from typing import Annotated, Literal

from pydantic import Field

from controller.resources.model import Declared, LocalRef, Resource
from controller.resources.names import ResourceKey
from controller.resources.role import Subject


class MailDomainRoleBindingSpec(Declared):
    """The spec of a MailDomainRoleBinding."""

    mail_domain_ref: LocalRef
    role_ref: LocalRef
    subjects: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=1000)]


class MailDomainRoleBinding(Resource):
    """One MailDomainRoleBinding. Whoever it names is a member of the domain."""

    kind: Literal["MailDomainRoleBinding"]
    spec: MailDomainRoleBindingSpec

    @property
    def domain_key(self) -> ResourceKey:
        """The MailDomain that it is about."""
        return ResourceKey(self.metadata.namespace, self.spec.mail_domain_ref.name)

    @property
    def role_key(self) -> ResourceKey:
        """The role of the same namespace that it gives, if there is one of its own."""
        return ResourceKey(self.metadata.namespace, self.spec.role_ref.name)
