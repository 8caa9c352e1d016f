"""gunicorn's gevent worker, with limits on what a client may take of it and with errors in psthreads' own form."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cache, lru_cache, partial
from typing import Any, Final

import gevent
from gevent.server import StreamServer
from gevent.socket import wait_read
from gunicorn import util
from gunicorn.http import errors, wsgi
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.util import write_nonblock
from gunicorn.workers.ggevent import GeventWorker
from markupsafe import escape

from psthreads.domain.config import Config
from psthreads.domain.model import clean
from psthreads.web.connections import Connections, PlainSocket, SlowClient, TLSSocket, accept

MOST_CONNECTIONS: Final = 2_000
"""The most connections of a web process."""

_REASONS: Final = {
    400: "Bad Request",
    408: "Request Timeout",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}
_SENTENCES: Final = {
    400: "This is not an HTTP request as the server reads it",
    408: "The request did not arrive in time: send it again, and without pauses.",
    414: "The request's address is too long: send the parameters as a form.",
    417: "The server knows no other expectation than 100-continue.",
    431: "The request's headers are too long or too many: send less, or remove the cookies of this site.",
    500: "Something went wrong here; it was written to the server's log.",
    501: "The body's Transfer-Encoding is not supported: send it with a Content-Length, or chunked.",
    503: "This server has as many connections as it may: try again in a few seconds.",
}
_STATUSES: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (SlowClient, 408),
    (errors.LimitRequestLine, 414),
    (errors.LimitRequestHeaders, 431),
    (errors.UnsupportedTransferCoding, 501),
    (errors.ExpectationFailed, 417),
    (errors.ConfigurationProblem, 500),
    (errors.ParseException, 400),
)


class Worker(GeventWorker):  # type: ignore[misc] # gunicorn has no types
    """The worker. gunicorn makes one in each web process."""

    def run(self) -> None:
        """Serve until the worker is told to stop."""
        # Not before gevent has patched what these import, such as ssl.
        from psthreads.web.http import headers, respond  # noqa: PLC0415 (see above)

        _Response.sound = headers.CONSTANT | respond.CONSTANT
        self.cfg: Any = _Settings(self.cfg)
        super().run()

    def handle_usr1(self, sig: int, frame: Any) -> None:
        """Open the log files again, for later requests, too, whose environment leads to them."""
        super().handle_usr1(sig, frame)  # in a greenlet, which comes first
        gevent.spawn(_environ.cache_clear)

    @property
    def server_class(self) -> Any:
        """What gunicorn makes a server of, for each address that it listens on."""
        config = Config.from_env()
        # Behind a proxy all connections come from its address.
        most_of_address = 0 if config.proxies else config.connections_per_address
        connections = Connections(MOST_CONNECTIONS, most_of_address, config.client_timeout)
        gevent.spawn(_close_slow, connections, min(1.0, config.client_timeout / 4))
        return partial(Acceptor, self, connections)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that cannot be read, or whose answer failed."""
        status = next((status for kind, status in _STATUSES if isinstance(exc, kind)), 500)
        address = addr[0] if isinstance(addr, tuple) else ""
        if isinstance(exc, OSError) and not isinstance(exc, errors.ParseException):
            self.log.debug("The connection from %s ended: %s", address, exc)
            return  # TLS has failed: nothing that is sent now could be read.
        if status == 500:  # noqa: PLR2004 (the status)
            self.log.error("%s %s", getattr(req, "method", ""), getattr(req, "uri", ""), exc_info=exc)
        elif status != 408:  # noqa: PLR2004 (the status)
            self.log.warning("Request from %s refused with %s: %s", address, status, exc)
        reason = f": {exc}." if status == 400 else ""  # noqa: PLR2004 (the status)
        try:
            write_nonblock(client, refusal(status, reason))
        except OSError:
            self.log.debug("The answer could not be sent to %s.", address)


class _Settings:
    """gunicorn's settings, each looked up once: gunicorn reads some thirty in a request, and each takes it 2 µs."""

    def __init__(self, config: Any) -> None:
        self._config = config

    def __getattr__(self, name: str) -> Any:
        value = vars(self)[name] = getattr(self._config, name)
        return value


class _Response(wsgi.Response):  # type: ignore[misc] # as above
    """An answer whose head leaves together with the beginning of its body: one system call, and one packet.

    `sound` are the headers that many answers have, and that need no check.
    """

    sound: frozenset[tuple[str, str]] = frozenset()

    def process_headers(self, fields: list[tuple[str, str]]) -> None:
        """Take the headers, and check those that are not sound."""
        super().process_headers([each for each in fields if each not in self.sound])
        self.headers += [each for each in fields if each in self.sound]

    def write(self, data: bytes) -> None:
        """Send a part of the body, the first one with the head."""
        if self.headers_sent:
            super().write(data)
            return
        connection: Any = self.sock
        self.sock: Any = _Pieces()
        try:
            super().write(data)
        finally:
            pieces, self.sock = self.sock, connection
        connection.sendall(b"".join(pieces))


class _Pieces(list[bytes]):
    """What is to be sent, in place of a socket."""

    sendall = list.append


class _PlainRequest(Request):  # type: ignore[misc] # as above
    """A request of which no header says who sends it or by which scheme: PSTHREADS_PROXIES does, in the application."""

    def _peer_trusted_for_forwarded(self) -> tuple[dict[str, str], list[str]]:
        return {}, []  # gunicorn would parse the address of the client for it.


_environ, _date = cache(wsgi.base_environ), lru_cache(maxsize=1)(util.http_date)

# gunicorn has no settings for them.
wsgi.Response = _Response
wsgi.base_environ = lambda config: {**_environ(config)}
util.http_date = lambda timestamp=None: _date(int(time.time() if timestamp is None else timestamp))
RequestParser.mesg_class = _PlainRequest


class Acceptor(StreamServer):  # type: ignore[misc] # gevent has no types
    """Accepts the connections that may be open, each with a limit on how long it keeps the server waiting."""

    def __init__(self, worker: Worker, connections: Connections, listener: Any, **options: Any) -> None:
        tls = {name: value for name, value in options.items() if name == "ssl_context"}
        if tls:
            tls["ssl_context"].sslsocket_class = TLSSocket
            tls["do_handshake_on_connect"] = False  # The worker does it, where its errors are handled.
        super().__init__(listener, handle=partial(worker.handle, listener), spawn=options["spawn"], **tls)
        self._connections = connections
        if worker.cfg.workers > 1:
            self.max_accept = 1  # Another process may be idle.

    def do_read(self) -> Any:
        """Accept a connection; return it with its address, or None."""
        try:
            descriptor, address = self.socket._accept()  # noqa: SLF001 (as gevent's own method does)
        except BlockingIOError:
            return None
        return accept(self.socket, descriptor), address

    def do_handle(self, *connection: Any) -> None:
        """Handle the connection in a greenlet of its own, if there is a place for it."""
        plain: PlainSocket = connection[0]
        peer = self._connections.admit(plain, connection[1])
        if peer is None:
            if not self.ssl_args:
                with suppress(OSError):
                    plain._sock.send(refusal(503))  # noqa: SLF001 (the bare socket: it takes all or is full)
            plain.close()
            return
        plain.peer = peer
        super().do_handle(*connection)

    def do_close(self, *connection: Any) -> None:
        """Close a connection that was handled."""
        self._connections.forget(connection[0].peer)
        super().do_close(*connection)

    def wrap_socket_and_handle(self, client_socket: PlainSocket, address: Any) -> Any:
        """Handle a connection with TLS."""
        peer = client_socket.peer
        wait_read(client_socket.fileno())  # Until something comes, a connection costs no more than a descriptor.
        peer.resume(0)
        if peer.is_slow:
            client_socket.close()
            return None
        tls: TLSSocket = self.wrap_socket(client_socket, **self.ssl_args)
        peer.socket, tls.peer = tls, peer
        try:
            return self.handle(tls, address)
        finally:
            tls.close()


def refusal(status: int, reason: str = "") -> bytes:
    """Return a whole answer with an error, for a request that psthreads itself did not get to see."""
    message = escape(clean(_SENTENCES[status] + reason, 500))
    code = f"{status:04}"
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<error id="{code}"><request></request><message>{message}</message></error>'
    ).encode()
    retry = "Retry-After: 5\r\n" if status == 503 else ""  # noqa: PLR2004 (the status)
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nConnection: close\r\n{retry}"
        f"Content-Type: application/xml;charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\r\n"
    )
    return head.encode() + body


def _close_slow(connections: Connections, seconds: float) -> None:
    while True:
        gevent.sleep(seconds)
        connections.close_slow()
