"""`GET /api/v1.0/config/`: what may be managed by hand here? Both feature flags, for everybody to read (A-83)."""

from controller.provisioning.endpoint import Notice
from controller.provisioning.openapi import answer
from controller.settings import Settings

PATH = "/api/v1.0/config/"


def config(settings: Settings) -> Notice:
    """The address. Its document has the mail application's own names, and the values that this process started with."""
    flags = {
        "FEATURE_MAILDOMAIN_CREATE": settings.feature_maildomain_create,
        "FEATURE_MAILDOMAIN_MANAGE_ACCESSES": settings.feature_maildomain_manage_accesses,
    }
    return Notice(PATH, flags, _OPERATION)


_OPERATION = {
    "operationId": "showConfig",
    "summary": "Show what may be managed by hand",
    "description": "No key is needed.",
    "responses": {
        "200": answer(
            "The feature flags.",
            {
                "type": "object",
                "properties": {
                    "FEATURE_MAILDOMAIN_CREATE": {"type": "boolean"},
                    "FEATURE_MAILDOMAIN_MANAGE_ACCESSES": {"type": "boolean"},
                },
                "required": ["FEATURE_MAILDOMAIN_CREATE", "FEATURE_MAILDOMAIN_MANAGE_ACCESSES"],
            },
        ),
    },
}
