"""The client of an object store: the one module that knows obstore.

obstore is Apache Arrow's object_store in Rust. Its calls let go of the interpreter while they wait, so that Python
threads make requests side by side; in gevent they are made off the loop. Its runtime does not survive a fork.
"""

from __future__ import annotations

import os
import secrets
import socket
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

from psthreads.domain.errors import ConfigError, StorageFailed
from psthreads.system.thread_pool import Pool, off_the_loop

T = TypeVar("T")

PART: Final = 8 * 1024 * 1024
"""The bytes of a part of an object that is written in parts; a smaller object is written in one request."""

_RETRY_SECONDS: Final = 60  # in which requests are repeated, where the store fails, stalls or says SlowDown
_REQUEST_SECONDS: Final = 30
_CONNECT_SECONDS: Final = 5
_PAGE: Final = 1_000  # keys; S3's own
_MOST_DELETED: Final = 1_000  # keys of one request
_LONGEST_REASON: Final = 300
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0  # before a request is repeated
_WRITE: Final = "psthreads-write"  # the metadata by which a write whose answer was lost knows its own object
_HTTP, _HTTPS = 80, 443
_users: Final[set[int]] = set()
"""The process in which the runtime was started, if any."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object: its key, its bytes, when it was written in milliseconds since the epoch, and its version."""

    key: str
    size: int
    modified: int
    etag: str


class ObjectWriter(Protocol):
    """An object that is being written in parts: it appears when it is closed, and never if it is not."""

    def write(self, data: bytes) -> None:
        """Add to the object; it waits where too many parts are on their way."""

    def close(self) -> None:
        """Have the object appear, in place of one with its key."""


class _MayPass(StorageFailed):
    """Errors after which a request may be repeated."""


class ObjectStore:
    """The objects of a bucket below a prefix. Keys are relative to that, and have no empty part and no "..".

    Methods raise FileNotFoundError for an object that is not there, FileExistsError where one must not be, and
    StorageFailed where the store does not answer or refuses. Requests are repeated before, and one whose answer was
    lost is not taken for one that failed.
    """

    def __init__(self, url: str, endpoint: str = "") -> None:
        """Take the address s3://bucket/prefix, and the endpoint's where it is not AWS's.

        obstore reads the region and the credentials from AWS's variables.
        """
        self.url = url
        self.endpoint = endpoint
        parts = urlsplit(url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._open: tuple[Any, Any] | None = None
        self._impatient: Any = None
        self._connections: set[int] = set()

    # Reading.

    def head(self, key: str) -> StoredObject:
        """Return what the store knows of an object."""
        return _stored(self._do(lambda obs, store: obs.head(store, key), key))

    def find(self, key: str) -> StoredObject | None:
        """Return what the store knows of an object, None if there is none."""
        with suppress(FileNotFoundError):
            return self.head(key)
        return None

    def get(self, key: str, most: int) -> tuple[StoredObject, bytes | None]:
        """Return an object with its bytes, or None for more than `most`."""

        def read(obs: Any, store: Any) -> tuple[StoredObject, bytes | None]:
            answer = obs.get(store, key)
            stored = _stored(answer.meta)
            return stored, answer.bytes().to_bytes() if stored.size <= most else None

        return self._do(read, key)

    def get_range(self, key: str, start: int, end: int, etag: str = "") -> bytes:
        """Return the bytes from `start` until before `end`; raises OSError if the object is of another version."""
        if start >= end:
            return b""
        options: dict[str, Any] = {"range": (start, end)}
        if etag:
            options["if_match"] = etag
        data: bytes = self._do(lambda obs, store: obs.get(store, key, options=options).bytes().to_bytes(), key)
        return data

    def pages(self, prefix: str, after: str = "", most: int = _PAGE) -> Iterator[list[StoredObject]]:
        """Yield the objects below a folder, or those of them after a key, in the order of their keys' bytes."""
        stream: Any = None
        last = after

        def read(obs: Any, store: Any) -> Any:
            nonlocal stream
            try:
                stream = stream or obs.list(store, prefix or None, offset=last or None, chunk_size=most)
                return next(stream, None)
            except BaseException:
                stream = None  # The next one begins where this one broke off.
                raise

        while page := self._do(read):
            objects = [_stored(each) for each in page]
            last = objects[-1].key
            yield objects

    def each(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        """Yield what `pages` does, one by one."""
        for page in self.pages(prefix, after):
            yield from page

    def has_any(self, prefix: str) -> bool:
        """Tell whether there is any object below a folder."""
        return next(self.pages(prefix, most=1), None) is not None

    def level(self, prefix: str) -> tuple[list[str], list[StoredObject]]:
        """Return the names of the folders in a folder, and the objects in it."""
        answer = self._do(lambda obs, store: obs.list_with_delimiter(store, prefix or None))
        folders = [path.rpartition("/")[2] for path in answer["common_prefixes"]]
        return folders, [_stored(each) for each in answer["objects"]]

    def link(self, key: str, seconds: float) -> str:
        """Return an address at which whoever has it can read an object for so many seconds."""
        address: str = self._do(lambda obs, store: obs.sign(store, "GET", key, timedelta(seconds=seconds)), key)
        return address

    # Writing.

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        """Write an object in one request; with `create` it must not exist, which the store itself sees to."""
        marks = {_WRITE: secrets.token_hex(8)} if create else {}
        mode = "create" if create else "overwrite"

        def write(obs: Any, store: Any) -> None:
            try:
                obs.put(store, key, data, mode=mode, use_multipart=False, attributes=marks)
            except obs.exceptions.AlreadyExistsError:
                now = _marks_of(obs, store, key)
                if now is None:  # It may be on its way, or was: AWS calls that a conflict.
                    raise _MayPass(self.url, "another program is writing or removing the same object") from None
                if now != marks:
                    raise

        self._do(write, key)

    def writer(self, key: str, headers: Mapping[str, str] = MappingProxyType({})) -> ObjectWriter:
        """Return a writer of an object in parts, which the store will give out with these headers."""
        marks = {_WRITE: secrets.token_hex(8)}
        options: dict[str, Any] = {"buffer_size": PART, "max_concurrency": 4, "attributes": {**headers, **marks}}
        return _PartsWriter(self, self._do(lambda obs, store: obs.open_writer(store, key, **options), key), key, marks)

    def upload(
        self,
        key: str,
        file: IO[bytes],
        before: Callable[[], None] = lambda: None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Write a file from its current position on as an object; `before` is called when only completing it is left.

        Where the store fails on the way, all of it is sent again. For `headers` see `writer`.
        """
        start = file.tell()

        def send() -> None:
            file.seek(start)
            writer = self.writer(key, headers)
            while chunk := file.read(PART):
                writer.write(chunk)
            before()
            writer.close()

        _again(send)

    def copy(self, key: str, to: str) -> None:
        """Have the store copy an object; it replaces one with that key."""
        self._do(lambda obs, store: obs.copy(store, key, to), key)

    def delete(self, keys: Collection[str]) -> None:
        """Remove objects; those that do not exist are no error."""
        remaining = list(keys)
        while remaining:
            batch, remaining = remaining[:_MOST_DELETED], remaining[_MOST_DELETED:]
            with suppress(FileNotFoundError):
                self._do(partial(_delete, batch))

    def delete_version(self, stored: StoredObject) -> None:
        """Remove an object, unless another one has replaced it."""

        def delete(obs: Any, store: Any) -> None:
            # The client would repeat a deletion without a further look.
            self._impatient = self._impatient or _open(self._bucket, self._prefix, self.endpoint, retries=0)[1]
            if _stored(obs.head(store, stored.key)).etag == stored.etag:
                _delete([stored.key], obs, self._impatient)

        with suppress(FileNotFoundError):
            self._do(delete, stored.key)

    # The process.

    def descriptors(self) -> set[int]:
        """Return the descriptors that are or were connections to the store: it opens and closes them when it likes."""
        if self._open is None:
            with suppress(FileNotFoundError, StorageFailed):
                self.head("any")  # Now, so that its runtime is no thread that a process has left behind.
        parts = urlsplit(self.endpoint or "https://")
        port = parts.port or (_HTTPS if parts.scheme == "https" else _HTTP)
        for name in os.listdir("/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd"):  # noqa: PTH208
            with suppress(OSError):
                if stat.S_ISSOCK(os.fstat(int(name)).st_mode) and _peer_port(int(name)) == port:
                    self._connections.add(int(name))
        return self._connections

    def _do(self, work: Callable[[Any, Any], T], key: str = "") -> T:
        """Make requests, again where they fail in a way that may pass, and translate what they raise."""
        return _again(lambda: self._once(work, key))

    def _once(self, work: Callable[[Any, Any], T], key: str = "") -> T:
        obs, store = self._opened()
        try:
            return off_the_loop(lambda: work(obs, store), Pool.STORE)
        except FileNotFoundError:
            raise FileNotFoundError(2, "There is no such object", key) from None
        except obs.exceptions.AlreadyExistsError:
            raise FileExistsError(17, "There is such an object", key) from None
        except obs.exceptions.PreconditionError:
            raise OSError(116, "It has changed meanwhile", key) from None
        except (obs.exceptions.GenericError, OSError) as error:
            raise _MayPass(self.url, _reason(error), key) from None
        except (obs.exceptions.BaseError, ValueError) as error:
            raise StorageFailed(self.url, _reason(error), key) from None

    def _opened(self) -> tuple[Any, Any]:
        if _users and os.getpid() not in _users:
            raise RuntimeError(
                "This process was forked from one that uses the object store, and cannot use it: start it anew, with "
                "multiprocessing's start method 'spawn', or read the documents in the parent."
            )
        if self._open is None:
            self._open = _open(self._bucket, self._prefix, self.endpoint)
            _users.add(os.getpid())
        return self._open


def _peer_port(descriptor: int) -> int:
    """Return the port that a connection leads to, 0 for one that leads to none. Raises OSError."""
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        is_internet = connection.family in {socket.AF_INET, socket.AF_INET6}
        return int(connection.getpeername()[1]) if is_internet else 0


def _delete(keys: list[str], obs: Any, store: Any) -> None:
    obs.delete(store, keys)


def _again(work: Callable[[], T]) -> T:
    """Do work that does no harm when it is done twice, again and again where the store fails."""
    deadline, pause = time.monotonic() + _RETRY_SECONDS, _PAUSE_SECONDS
    while True:
        try:
            return work()
        except _MayPass:
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _marks_of(obs: Any, store: Any, key: str) -> dict[str, str] | None:
    """Return the marks with which an object was written, None where there is none."""
    with suppress(FileNotFoundError):
        attributes = obs.get(store, key, options={"head": True}).attributes
        return {_WRITE: attributes.get(_WRITE, "")}
    return None


class _PartsWriter:
    """An object on its way in parts. A writer of obstore's is of no use once it has failed."""

    def __init__(self, store: ObjectStore, writer: Any, key: str, marks: dict[str, str]) -> None:
        self._store = store
        self._writer = writer
        self._key = key
        self._marks = marks

    def write(self, data: bytes) -> None:
        self._store._once(lambda _obs, _store: self._writer.write(data), self._key)  # noqa: SLF001 (the same module)

    def close(self) -> None:
        try:
            self._store._once(lambda _obs, _store: self._writer.close(), self._key)  # noqa: SLF001 (as above)
        except (FileNotFoundError, StorageFailed) as error:
            # A store that has completed an upload may know it no longer when it is asked again.
            now = self._store._do(lambda obs, store: _marks_of(obs, store, self._key))  # noqa: SLF001 (as above)
            if now != self._marks:
                failed = error if isinstance(error, StorageFailed) else None
                raise failed or _MayPass(self._store.url, "it does not know an upload in parts any more") from None


def require_client() -> None:
    """Raise ConfigError where obstore is not installed."""
    try:
        import obstore  # noqa: F401, PLC0415 (an extra)
    except ImportError:
        raise ConfigError(
            "PSTHREADS_DOCUMENTS names an object store, and its client is not installed: pip install 'psthreads[s3]'."
        ) from None


def _open(bucket: str, prefix: str, endpoint: str, retries: int = 10) -> tuple[Any, Any]:
    require_client()
    import obstore  # noqa: PLC0415 (an extra)
    from obstore.store import S3Store  # noqa: PLC0415 (as above)

    seconds = timedelta(seconds=1)
    options: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    try:
        store = S3Store(
            bucket,
            prefix=prefix or None,
            client_options={
                "timeout": _REQUEST_SECONDS * seconds,
                "connect_timeout": _CONNECT_SECONDS * seconds,
                "allow_http": endpoint.startswith("http://"),
            },
            retry_config={
                "max_retries": retries,
                "retry_timeout": _RETRY_SECONDS * seconds,
                "backoff": {"init_backoff": 0.1 * seconds, "max_backoff": 5 * seconds, "base": 2},
            },
            **options,
        )
    except (obstore.exceptions.BaseError, ValueError) as error:
        raise ConfigError(f"The object store s3://{bucket} cannot be used: {_reason(error)}.") from None
    return obstore, store


def _stored(meta: Any) -> StoredObject:
    return StoredObject(meta["path"], meta["size"], int(meta["last_modified"].timestamp() * 1000), meta["e_tag"] or "")


def _reason(error: Exception) -> str:
    """Return the first line of an error, which goes on with a dump of values."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:_LONGEST_REASON].rstrip(".: ")
