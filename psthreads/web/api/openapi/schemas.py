"""The schemas of the document: those of the services' JSON, and those of OAuth (RFC 6749)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

ERROR_REFERENCE: Final = "error"
"""The name of the schema of every refusal."""

_COMPONENTS: Final = "#/components/schemas/"

OAUTH_SCHEMAS: Final[Mapping[str, Any]] = {
    "oauth-token": {
        "type": "object",
        "required": ["access_token", "token_type", "expires_in"],
        "properties": {
            "access_token": {"type": "string"},
            "token_type": {"type": "string", "enum": ["Bearer"]},
            "expires_in": {"type": "integer", "minimum": 1, "description": "in seconds"},
            "scope": {"type": "string", "description": "the scopes of the token, separated by blanks"},
        },
    },
    "oauth-revoked": {"type": "object", "additionalProperties": False},
    "oauth-error": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
    },
}
"""The schemas of the answers of /oauth/token and /oauth/revoke."""


def reference(name: str) -> dict[str, str]:
    """Return a reference to one of the document's schemas."""
    return {"$ref": f"{_COMPONENTS}{name}"}


def with_references(schemas: Mapping[str, Any]) -> Any:
    """Return the schemas with their references in OpenAPI's place."""
    return json.loads(json.dumps(schemas).replace('"#/$defs/', f'"{_COMPONENTS}'))
