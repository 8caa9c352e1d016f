"""Trust in one certificate, whoever signed it and whatever names it has: that of a server on this machine."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

from psthreads.domain.errors import ConfigError


class _Pinned(HTTPAdapter):
    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the connections, which then take a server with this certificate and no other."""
        super().init_poolmanager(*arguments, **options, assert_fingerprint=self._fingerprint, assert_hostname=False)

    def send(self, request: PreparedRequest, *arguments: Any, **options: Any) -> Response:
        """Send the request. The fingerprint is compared in place of the chain and the name."""
        # Not the session's `verify`, which gives way to REQUESTS_CA_BUNDLE in the environment.
        return super().send(request, *arguments, **{**options, "verify": False})


def pin(session: Session, certificate: str) -> None:
    """Let the session trust the first certificate in this PEM file and no other. Raises ConfigError."""
    try:
        text = Path(certificate).read_text("ascii")
        first = text[text.index(ssl.PEM_HEADER) : text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)]
        content = ssl.PEM_cert_to_DER_cert(first)
    except (OSError, ValueError) as error:
        raise ConfigError(f"The certificate '{certificate}' cannot be read: {error}.") from None
    session.mount("https://", _Pinned(hashlib.sha256(content).hexdigest()))
