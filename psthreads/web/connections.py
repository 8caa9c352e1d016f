"""The connections of a web process: how long a client may keep it waiting, and how many there may be.

It holds for every route, since it is the socket that waits: for the TLS handshake, the head and the body of a request,
and for the client to take the answer. Time that the server itself takes does not count.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from gevent import socket as gevent_socket
from gevent import ssl as gevent_ssl

LEAST_RATE: Final = 1_024  # bytes a second, of a client that sends a body or takes an answer
_PIECE: Final = 256 * 1024  # bytes of an answer that are offered to the system at once
_UNSENT: Final = 16 * 1024  # bytes: the system asks for more of an answer when so few are left
_SHARE_CLOSED: Final = 20  # where all places are taken, a twentieth of the connections makes room


class SlowClient(BaseException):
    """The client has kept the server waiting for too long.

    No Exception: two thousand of them at once must not cost two thousand pages, so nothing but the worker answers.
    """


class Peer:
    """One connection. Its `credit` is how many seconds the client may still keep the server waiting.

    Waiting uses the credit up; each byte earns some, up to where it began. So a client that is silent for that long is
    closed, and so is one that stays below the least rate.
    """

    __slots__ = ("_longest", "address", "credit", "is_reading", "is_slow", "since", "socket")

    def __init__(self, connection: Any, address: str, credit: float) -> None:
        self.socket = connection
        self.address = address
        self.credit = self._longest = credit
        self.since = time.monotonic()
        self.is_reading = True
        self.is_slow = False

    def wait(self, *, reads: bool) -> None:
        """Begin to wait for the client."""
        self.since, self.is_reading = time.monotonic(), reads

    def resume(self, size: int) -> None:
        """End the wait, which moved so many bytes."""
        credit = self.credit - (time.monotonic() - self.since) + size / LEAST_RATE
        self.credit = min(self._longest, credit)
        self.since = 0.0

    def credit_at(self, now: float) -> float:
        """Return the credit at a monotonic time."""
        return self.credit - (now - self.since)

    def close(self) -> None:
        """Make the wait end: a read raises SlowClient, after which an answer can still be sent."""
        how = socket.SHUT_RD if self.is_reading and not self.is_slow else socket.SHUT_RDWR
        self.is_slow = True
        with suppress(OSError):
            # Not SSLSocket's own method, which would take the TLS session from the code that waits.
            gevent_socket.socket.shutdown(self.socket, how)


class Connections:
    """The open connections of a web process: at most `most`, and `most_of_address` of one address; 0 for no limit.

    `credit` is how many seconds a client may keep the server waiting.
    """

    def __init__(self, most: int, most_of_address: int, credit: float) -> None:
        self._most = most
        self._most_of_address = most_of_address or most
        self._credit = credit
        self._peers: set[Peer] = set()
        self._addresses: Counter[str] = Counter()

    def admit(self, connection: Any, address: Any) -> Peer | None:
        """Return the peer of a new connection; None where there is no place for it.

        Where all places are taken, the connections that have kept the server waiting the longest are closed.
        """
        name = _network(address)
        if self._addresses[name] >= self._most_of_address and not self._make_room(self._most_of_address, name):
            return None
        if len(self._peers) >= self._most and not self._make_room(self._most, ""):
            return None
        peer = Peer(connection, name, self._credit)
        self._peers.add(peer)
        self._addresses[name] += 1
        return peer

    def forget(self, peer: Peer) -> None:
        """Give the place of a connection that has ended away; a second time has no effect."""
        if peer in self._peers:
            self._peers.remove(peer)
            self._addresses[peer.address] -= 1
            if not self._addresses[peer.address]:
                del self._addresses[peer.address]

    def close_slow(self) -> None:
        """Close the connections whose clients have used up their credit."""
        now = time.monotonic()
        for peer in [each for each in self._peers if not each.is_slow and each.since and each.credit_at(now) < 0]:
            peer.close()

    def _make_room(self, most: int, address: str) -> bool:
        """Close some of the connections, of the address if there is one; return whether there were any to close."""
        now = time.monotonic()
        waiting = [each for each in self._peers if each.since and address in {"", each.address}]
        # Several at a time: to look for the slowest at each new connection would cost more than what it protects.
        for peer in sorted(waiting, key=lambda each: each.credit_at(now))[: max(1, most // _SHARE_CLOSED)]:
            peer.is_slow = True  # It gets no answer: that would hold its place.
            peer.close()
            self.forget(peer)
        return bool(waiting)


class Watched:
    """What both kinds of sockets have in common: they note when they wait for `peer`."""

    peer: Peer

    def recv(self, *arguments: Any) -> bytes:
        """Receive, as a socket does."""
        data = b""
        self.peer.wait(reads=True)
        try:
            data = super().recv(*arguments)  # type: ignore[misc] # of the socket's class
        except OSError:
            if not self.peer.is_slow:
                raise
        finally:
            self.peer.resume(len(data))
        if self.peer.is_slow:
            raise SlowClient
        return data

    def send(self, *arguments: Any) -> int:
        """Send, as a socket does."""
        size: int = 0
        self.peer.wait(reads=False)
        try:
            size = super().send(*arguments)  # type: ignore[misc] # of the socket's class
        finally:
            self.peer.resume(size)
        return size

    def sendall(self, data: Any, *arguments: Any) -> None:
        """Send everything, as a socket does."""
        with memoryview(data).cast("B") as view:
            sent = 0
            while sent < len(view):
                size = self.send(view[sent : sent + _PIECE], *arguments)
                if not size:
                    raise BlockingIOError  # as TLS says it where it may not wait
                sent += size


class PlainSocket(Watched, gevent_socket.socket):  # type: ignore[misc] # gevent has no types
    """A client's connection without TLS."""


class TLSSocket(Watched, gevent_ssl.SSLSocket):  # type: ignore[misc] # as above
    """A client's connection with TLS."""

    def do_handshake(self) -> None:
        """Do the handshake, as a socket does."""
        self.peer.wait(reads=True)
        try:
            super().do_handshake()
        finally:
            self.peer.resume(0)


def accept(listener: Any, descriptor: int) -> PlainSocket:
    """Return the socket of a connection that a listening socket has accepted."""
    connection = PlainSocket(listener.family, listener.type, listener.proto, fileno=descriptor)
    if listener.family != getattr(socket, "AF_UNIX", None) and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # Otherwise the system holds megabytes, and a slow client that reads looks like one that does not.
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    return connection


def _network(address: Any) -> str:
    """Return what counts as one address: an IPv4 address, an IPv6 network of 64 bits, "" for a Unix socket."""
    if not isinstance(address, tuple):
        return ""
    parsed = ip_address(str(address[0]).partition("%")[0])
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or int(parsed) >> 64)
    return str(parsed)
