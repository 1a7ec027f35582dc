"""What came of a server-side apply, and which part of an object has a field manager applied before?"""

import json
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from kubernetes.aio.client.exceptions import ApiException

from controller.cluster.refusals import is_of_one_object


class Applied(Enum):
    """What the API server made of one apply."""

    CREATED = auto()
    CHANGED = auto()
    """It was there: changed, or as it should be already."""
    OWNED_BY_OTHERS = auto()
    """Another field manager owns a field that would change; nothing was written."""
    OUTDATED = auto()
    """The object is no longer of the version that was given; nothing was written."""
    REFUSED = auto()
    """The API server finds the object invalid; nothing was written."""


def outcome_of_refusal(refusal: ApiException) -> Applied | None:
    """What a refusal says about this one object, or None when it says something about everything."""
    if refusal.status == 409:
        return Applied.OWNED_BY_OTHERS if _is_about_fields(refusal.body) else Applied.OUTDATED
    return Applied.REFUSED if is_of_one_object(refusal) else None


def applied_part(obj: Mapping[str, Any], manager: str) -> dict[str, Any]:
    """The part of an object that a field manager has applied, as it is now; empty when there is none."""
    for entry in obj.get("metadata", {}).get("managedFields", ()):
        if entry.get("manager") == manager and entry.get("operation") == "Apply":
            part: dict[str, Any] = _projected(obj, entry.get("fieldsV1", {}))
            return part
    return {}


def _projected(value: Any, fields: Mapping[str, Any]) -> Any:
    inner = {name.removeprefix("f:"): part for name, part in fields.items() if name.startswith("f:")}
    if not inner:
        # `.` alone is a mapping of which every field is somebody else's.
        return {} if "." in fields else value
    known = value if isinstance(value, Mapping) else {}
    return {name: _projected(known[name], part) for name, part in inner.items() if name in known}


def _is_about_fields(body: Any) -> bool:
    try:
        causes = json.loads(body)["details"]["causes"]
        return any(cause["reason"] == "FieldManagerConflict" for cause in causes)
    except (ValueError, TypeError, KeyError):
        return False
