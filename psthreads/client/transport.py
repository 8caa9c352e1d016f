"""Sends requests: their credentials, their retries and their errors."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from psthreads.client import remote
from psthreads.client.pinning import pin
from psthreads.client.remote import ClientError
from psthreads.domain.errors import BadParameter

_BUSY: Final = frozenset({429, 502, 503, 504})  # statuses that a retry may turn into success
_LONGEST_PAUSE: Final = 5.0
_FILE_TYPES: Final = ("application/zip", "application/octet-stream")


class Download:
    """A file that the server is sending: save it, or close it. `size` is in bytes, -1 where it is not known."""

    def __init__(self, response: requests.Response, filename: str = "") -> None:
        self.filename = _safe_name(filename or _disposition(response))
        length = response.headers.get("Content-Length", "")
        self.size = int(length) if length.isdecimal() else -1
        self._response = response

    def save(self, to: Path) -> Path:
        """Write the file, whole or not at all, and return its path.

        In a folder it gets the server's name for it. Raises FileExistsError where the folder has such a file.
        """
        target = to
        if to.is_dir():
            target = to / self.filename
            if target.exists():
                self.close()
                raise FileExistsError(f"'{target}' exists already: remove it or choose another name.")
        part = target.with_name(f".{target.name}.part")
        try:
            with part.open("wb") as file:
                for chunk in self._response.iter_content(64 * 1024):
                    file.write(chunk)
            return part.replace(target)
        except requests.RequestException as error:
            raise ClientError(0, "", f"The download of '{self.filename}' broke off: try again.") from error
        finally:
            part.unlink(missing_ok=True)
            self.close()

    def close(self) -> None:
        """Close the connection."""
        self._response.close()


class _Bearer(AuthBase):
    # With an auth object, requests does not take credentials from ~/.netrc.
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Transport:
    """The connection to one server, with a token or a username; it retries while the server is away or busy.

    `timeout` limits one request, and `patience` its retries; both are in seconds. Raises BadParameter for a wrong URL,
    and for a token that cannot be sent.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str,
        username: str,
        password: str,
        timeout: float,
        patience: float,
        certificate: str = "",
    ) -> None:
        if not _is_address(url):
            raise BadParameter("server", "The server is an address such as https://example.org/ps/service.")
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._patience = patience
        self._session = requests.Session()
        if certificate:
            pin(self._session, certificate)
        if token:
            self._session.auth = _Bearer(printable("token", token))
        elif username:
            # requests would encode text as Latin-1.
            self._session.auth = HTTPBasicAuth(username.encode(), password.encode())

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, Any] | None = None,
        form: Mapping[str, Any] | None = None,
        body: BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
        as_json: bool = False,
        follow: bool = False,
        once: bool = False,
        hold: float = 0,
        patience: float | None = None,
    ) -> requests.Response:
        """Send a request with a form or with a file as its body, and return the answer.

        The content of a file in the answer is still to be read then.

        With `follow`, a file that is at another address is read there, without credentials.
        A request with `once` is never retried. `hold` is the time that the server was asked to wait before it answers,
        and `patience` replaces that of all requests; both are in seconds. Raises ClientError when the server refuses
        or does not answer.
        """
        deadline = time.monotonic() + (self._patience if patience is None else patience)
        # The answer to a start may be a file of any type.
        accept = "application/json" if as_json else "application/xml, */*;q=0.1"
        delay = 0.25
        while True:
            pause = delay * random.uniform(0.8, 1.2)  # noqa: S311 (spreads clients out, keeps no secret) # nosec B311
            if body is not None:
                body.seek(0)
            try:
                response = self._session.request(
                    method,
                    url,
                    params=query,
                    data=form if body is None else body,
                    headers={"Accept": accept, **(headers or {})},
                    timeout=self._timeout + hold,
                    # A redirect could send the credentials to another server.
                    allow_redirects=False,
                    stream=True,
                )
                if follow and response.is_redirect:
                    response = requests.get(response.headers["Location"], timeout=self._timeout, stream=True)
                if response.ok and not response.is_redirect and is_file(response):
                    return response
                _ = response.content
            except requests.exceptions.RequestException as error:
                failure = ClientError(0, "", f"The server {self.url} does not answer: {_reason(error)}.")
                failure.__cause__ = error
                is_temporary = _is_temporary(error)
            else:
                if response.ok and not response.is_redirect:
                    return response
                failure = _failure(response)
                is_temporary = response.status_code in _BUSY
                pause = max(pause, _retry_after(response))
            if once or not is_temporary or time.monotonic() + pause > deadline:
                raise failure
            time.sleep(pause)
            delay = min(delay * 2, _LONGEST_PAUSE)


def printable(name: str, value: str) -> str:
    """Return a header's value. Raises BadParameter where it cannot be sent."""
    # Checked here, because the errors of the lower layers would show the token.
    if not (value.isascii() and value.isprintable()):
        raise BadParameter(name, f"The {name} holds characters that cannot be sent.")
    return value


def is_file(response: requests.Response) -> bool:
    """Return whether an answer is a file to save, not XML or JSON to read."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return "Content-Disposition" in response.headers or kind in _FILE_TYPES


def text(response: requests.Response) -> str:
    """Return an answer's text; bytes that are not UTF-8 are replaced."""
    return response.content.decode("utf-8", "replace")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    # Credentials in a URL end up in logs and messages.
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def _disposition(response: requests.Response) -> str:
    header = Message()
    header["Content-Disposition"] = response.headers.get("Content-Disposition", "attachment")
    return header.get_filename() or ""


def _safe_name(name: str) -> str:
    # The name may come from the server: no path, no hidden file.
    plain = re.sub(r"[\x00-\x1f\x7f-\x9f]", "", re.split(r"[/\\]", name)[-1]).strip(" .")
    return plain or "download"


def _reason(error: BaseException) -> str:
    if isinstance(error, requests.Timeout):
        return "it took too long"
    while error.__context__ is not None:
        error = error.__context__
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _is_temporary(error: requests.RequestException) -> bool:
    temporary = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return isinstance(error, temporary) and not isinstance(error, requests.exceptions.SSLError)


def _retry_after(response: requests.Response) -> float:
    value = response.headers.get("Retry-After", "")
    with suppress(ValueError, TypeError, OverflowError):
        return float(int(value)) if value.isdigit() else parsedate_to_datetime(value).timestamp() - time.time()
    return 0.0


def _failure(response: requests.Response) -> ClientError:
    status = response.status_code
    code, message = "", f"The server answered {status} {response.reason}."
    if response.is_redirect:
        message = f"The server is elsewhere: use its address {response.headers['Location']}."
    elif "json" in response.headers.get("Content-Type", ""):
        with suppress(ValueError, AttributeError):
            content = response.json()
            content = content.get("error", content)
            code, message = str(content.get("id", "")), str(content.get("message", message))
    else:
        with suppress(ClientError):
            code, reason = remote.refusal(text(response))
            message = reason or message
    return ClientError(status, code, message)
