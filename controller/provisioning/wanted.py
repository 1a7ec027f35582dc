"""What does a provisioning request want? Its body, read strictly; nothing here knows what exists already."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from controller.provisioning.refusals import Refused
from controller.resources.model import Attribute, Attributes, Siret

MAX_NAMES = 1000
"""Names in one request."""
ENDED = "subscription.deleted"
"""The event after which nothing is created."""

_TEXTS = {
    "missing": "This field is required.",
    "bool_type": "Write true or false.",
    "string_type": "Write a text.",
    "dict_type": "Write an object.",
    "mapping_type": "Write an object.",
    "too_long": "Write at most 32 attributes.",
    "string_too_short": "Write a name of 1 to 64 characters.",
    "string_too_long": "Write a name of 1 to 64 characters.",
    "attribute": "Write a text of at most 1024 characters or a whole number.",
}
"""What is said of each mistake. Ours carry their text themselves."""

_SIRET: TypeAdapter[str] = TypeAdapter(Siret)


def _names(value: object) -> object:
    """A list as it is, or a text with commas, trimmed (A-72)."""
    if isinstance(value, str):
        value = [name for part in value.split(",") if (name := part.strip())]
    if not isinstance(value, list):
        raise PydanticCustomError("names", "Write a list of names, or a text with commas between them.")
    if not value:
        raise PydanticCustomError("names", "Name at least one domain.")
    if len(value) > MAX_NAMES:
        raise PydanticCustomError("names", "Name at most {most} domains.", {"most": MAX_NAMES})
    return value


def _attributes(value: object) -> object:
    """Without attributes that are null, and without a siret that is empty: the organization has none."""
    if not isinstance(value, dict):
        return value
    found = {name: part for name, part in value.items() if part is not None and (name, part) != ("siret", "")}
    if "siret" in found:
        try:
            _SIRET.validate_python(found["siret"], strict=True)
        except ValidationError:
            raise PydanticCustomError("siret", "Write custom_attributes.siret as a text of 14 digits.") from None
    return found


class Wanted(BaseModel):
    """One request. Fields that are absent or null are not asked about; those of other events are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    domains: Annotated[list[Any], BeforeValidator(_names)] = Field(
        description="Names as a list, or as one text with commas between them.",
        json_schema_extra={"type": ["array", "string"], "maxItems": MAX_NAMES},
    )
    custom_attributes: Annotated[Attributes, BeforeValidator(_attributes)] | None = Field(
        default=None,
        description="Attributes of the domains in the mail application. `siret` says whose domains they are.",
    )
    oidc_autojoin: StrictBool | None = None
    identity_sync: StrictBool | None = None

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """The attributes that are asked for."""
        return self.custom_attributes or {}

    @property
    def siret(self) -> str | None:
        """Whose domains they are."""
        found = self.attributes.get("siret")
        return found if isinstance(found, str) else None


class Occasion(BaseModel):
    """Why a request came, as far as it matters."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    event_type: StrictStr | None = None
    is_active: StrictBool | None = None

    @property
    def ended(self) -> bool:
        """Whether a subscription has ended: nothing is to be created."""
        return self.event_type == ENDED or self.is_active is False


def read_wanted(document: object) -> Wanted | None:
    """Read one request; None when it says that a subscription has ended. Raises `Refused` with texts by field."""
    if not isinstance(document, dict):
        raise Refused(400, "Write a JSON object.")
    try:
        return None if Occasion.model_validate(document).ended else Wanted.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
    texts: dict[str, list[str]] = {}
    for detail in details:
        texts.setdefault(str(detail["loc"][0]), []).append(_TEXTS.get(detail["type"], detail["msg"]))
    raise Refused(400, texts)


def echoed(name: object) -> str:
    """A name as it may stand in an answer: what was sent, as far as it can be a name."""
    return (name if isinstance(name, str) else json.dumps(name))[:253]
