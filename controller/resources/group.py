"""What is a MailDomainGroup? People by e-mail, under one name."""

from typing import Annotated, Literal

from pydantic import Field

from controller.resources.model import Declared, Resource
from controller.resources.names import Email


class MailDomainGroupSpec(Declared):
    """The spec of a MailDomainGroup."""

    members: Annotated[tuple[Email, ...], Field(max_length=10_000)]


class MailDomainGroup(Resource):
    """One MailDomainGroup. An empty one is a group of nobody."""

    kind: Literal["MailDomainGroup"]
    spec: MailDomainGroupSpec
