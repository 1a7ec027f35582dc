"""What has to be sent so that a status becomes another? A JSON merge patch (RFC 7386) of exactly the difference."""

from collections.abc import Mapping
from typing import Any


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The patch from `before` to `after`; empty when they are equal.

    Keys that vanish become null, lists are replaced whole. A value None can't be expressed: it is an absent key.
    """
    patch: dict[str, Any] = dict.fromkeys(sorted(_present(before) - _present(after)))
    for key in _present(after):
        old, new = before.get(key), after[key]
        if isinstance(new, Mapping):
            nested = merge_patch(old if isinstance(old, Mapping) else {}, new)
            if nested or not isinstance(old, Mapping):
                patch[key] = nested
        elif new != old:
            patch[key] = new
    return patch


def _present(status: Mapping[str, Any]) -> set[str]:
    return {key for key, value in status.items() if value is not None}
