"""A store in memory that speaks as much of S3's protocol as a measurement asks of it, and thousands of times a second.

moto's server, on which the tests run, answers some 600 requests a second: it would be what is measured.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from bisect import bisect_left, insort
from collections.abc import Mapping
from email.utils import formatdate
from itertools import count
from typing import Final, cast
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from lxml import etree

from psthreads.system.parent_death import die_with_parent

_PAGE: Final = 1_000
_MODIFIED: Final = "2026-01-01T00:00:00.000Z"
_LAST_MODIFIED: Final = formatdate(1767225600, usegmt=True)

Answer = tuple[int, Mapping[str, str], bytes]


class Memory:
    """The objects of all buckets, by their paths with the bucket's name."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, str]] = {}
        self._keys: list[str] = []
        self._uploads: dict[str, dict[int, bytes]] = {}
        self._numbers = count(1)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer a request."""
        url = urlsplit(target)
        key, query = unquote(url.path).lstrip("/"), dict(parse_qsl(url.query, keep_blank_values=True))
        if method in {"GET", "HEAD"}:
            return self._list(key.strip("/"), query) if "list-type" in query else self._get(key, headers)
        if method == "PUT":
            return self._put(key, query, headers, body)
        if method == "DELETE":
            self._remove(key)
            return 204, {}, b""
        return self._post(key, query, body)

    def _get(self, key: str, headers: Mapping[str, str]) -> Answer:
        if key not in self._objects:
            return 404, {}, b""
        data, etag = self._objects[key]
        common = {"ETag": etag, "Last-Modified": _LAST_MODIFIED}
        if headers.get("if-match", etag) != etag:
            return 412, {}, b""
        if asked := headers.get("range", ""):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            end = min(int(last), len(data) - 1)
            return (
                206,
                {**common, "Content-Range": f"bytes {first}-{end}/{len(data)}"},
                data[int(first) : end + 1],
            )
        return 200, common, data

    def _put(self, key: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> Answer:
        if "uploadId" in query:
            self._uploads[query["uploadId"]][int(query["partNumber"])] = body
            return 200, {"ETag": '"part"'}, b""
        if "/" not in key:
            return 200, {}, b""
        if headers.get("if-none-match") == "*" and key in self._objects:
            return 412, {}, b""
        if source := headers.get("x-amz-copy-source"):
            if (source := unquote(source).lstrip("/")) not in self._objects:
                return 404, {}, b""
            etag = self._store(key, self._objects[source][0])
            return 200, {}, f"<CopyObjectResult><ETag>{escape(etag)}</ETag></CopyObjectResult>".encode()
        return 200, {"ETag": self._store(key, body)}, b""

    def _post(self, key: str, query: Mapping[str, str], body: bytes) -> Answer:
        if "delete" in query:
            bucket = key.strip("/")
            names = [name.text or "" for name in etree.fromstring(body).iterfind(".//{*}Key")]
            for name in names:
                self._remove(f"{bucket}/{name}")
            deleted = "".join(f"<Deleted><Key>{escape(name)}</Key></Deleted>" for name in names)
            return 200, {}, f"<DeleteResult>{deleted}</DeleteResult>".encode()
        if "uploads" in query:
            number = f"upload-{next(self._numbers)}"
            self._uploads[number] = {}
            result = f"<UploadId>{number}</UploadId>"
            return 200, {}, f"<InitiateMultipartUploadResult>{result}</InitiateMultipartUploadResult>".encode()
        parts = self._uploads.pop(query["uploadId"])
        etag = self._store(key, b"".join(data for _, data in sorted(parts.items())))
        result = f"<ETag>{escape(etag)}</ETag>"
        return 200, {}, f"<CompleteMultipartUploadResult>{result}</CompleteMultipartUploadResult>".encode()

    def _list(self, bucket: str, query: Mapping[str, str]) -> Answer:
        prefix, delimiter = f"{bucket}/{query.get('prefix', '')}", query.get("delimiter", "")
        after = query.get("continuation-token") or f"{bucket}/{query.get('start-after', '')}"
        most = int(query.get("max-keys", _PAGE))
        keys: list[str] = []
        folders: list[str] = []
        place = max(bisect_left(self._keys, prefix), bisect_left(self._keys, f"{after}\0"))
        while place < len(self._keys) and len(keys) + len(folders) < most:
            key = self._keys[place]
            if not key.startswith(prefix):
                break
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            if end >= 0:
                folders.append(key[: end + 1])
                place = bisect_left(self._keys, f"{key[: end + 1]}\U0010ffff")
            else:
                keys.append(key)
                place += 1
        more = place < len(self._keys) and self._keys[place].startswith(prefix)
        lines = [f"<IsTruncated>{str(more).lower()}</IsTruncated>"]
        if more:
            lines.append(f"<NextContinuationToken>{escape(self._keys[place - 1])}</NextContinuationToken>")
        for key in keys:
            data, etag = self._objects[key]
            lines.append(
                f"<Contents><Key>{escape(key[len(bucket) + 1 :])}</Key><LastModified>{_MODIFIED}</LastModified>"
                f"<ETag>{escape(etag)}</ETag><Size>{len(data)}</Size></Contents>"
            )
        lines += [
            f"<CommonPrefixes><Prefix>{escape(each[len(bucket) + 1 :])}</Prefix></CommonPrefixes>" for each in folders
        ]
        return 200, {}, f"<ListBucketResult>{''.join(lines)}</ListBucketResult>".encode()

    def _store(self, key: str, data: bytes) -> str:
        if key not in self._objects:
            insort(self._keys, key)
        etag = f'"{hashlib.blake2b(data, digest_size=16).hexdigest()}"'
        self._objects[key] = data, etag
        return etag

    def _remove(self, key: str) -> None:
        if self._objects.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]


class _Connection(asyncio.Protocol):
    """A connection of HTTP/1.1 that stays open."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._received = b""
        self._expects = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._received[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            until = end + 4 + int(headers.get("content-length", 0))
            if len(self._received) < until:
                if self._expects and "expect" in headers:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    self._expects = False
                return
            body, self._received, self._expects = self._received[end + 4 : until], self._received[until:], True
            method, target, _ = first.split(" ", 2)
            status, more, content = self._memory.answer(method, target, headers, body)
            head = "".join(f"{name}: {value}\r\n" for name, value in more.items())
            self._transport.write(
                f"HTTP/1.1 {status} -\r\n{head}Content-Length: {len(content)}\r\n\r\n".encode()
                + (b"" if method == "HEAD" else content)
            )


async def serve(port: int) -> None:
    """Serve for ever."""
    memory = Memory()
    listener = await asyncio.get_running_loop().create_server(lambda: _Connection(memory), "127.0.0.1", port)
    await listener.serve_forever()


if __name__ == "__main__":
    die_with_parent(int(sys.argv[2]))
    asyncio.run(serve(int(sys.argv[1])))
