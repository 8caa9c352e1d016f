"""Each process's work as a plain loop of boto3: one request after the other. It prints the seconds that took.

moto needs boto3, so that it is where `make run STORE=s3` and `make test` put moto.
"""

from __future__ import annotations

import sys
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import boto3
from botocore.config import Config
from lxml import etree


class Loop:
    """The loops over what is below a prefix of a bucket."""

    def __init__(self, endpoint: str, bucket: str, prefix: str) -> None:
        # Without this it sends checksums that many stores do not know.
        config = Config(request_checksum_calculation="when_required", response_checksum_validation="when_required")
        self._client: Any = boto3.client("s3", endpoint_url=endpoint, config=config)
        self._bucket = bucket
        self._prefix = prefix

    def validate(self) -> None:
        """Parse each document."""
        for key in self._keys("groups/1/documents/"):
            etree.fromstring(self._get(key))

    def export(self) -> None:
        """Pack each document into a zip file."""
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for key in self._keys("groups/1/documents/"):
                archive.writestr(key, self._get(key))
        self._put("results/1/plain.zip", packed.getvalue())

    def publish(self) -> None:
        """Transform each document, and pack it into a zip file."""
        transform = etree.XSLT(etree.fromstring(self._get(f"{self._prefix}/groups/1/stylesheets/publish.xsl")))
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for key in self._keys("groups/1/documents/"):
                archive.writestr(key, etree.tostring(transform(etree.fromstring(self._get(key)))))
        self._put("results/1/plain.zip", packed.getvalue())

    def unzip(self) -> None:
        """Write each file of a zip file."""
        with zipfile.ZipFile(BytesIO(self._get(f"{self._prefix}/loading/1/1/documents.zip"))) as archive:
            for name in archive.namelist():
                self._put(f"loading/1/1/{name}", archive.read(name))

    def load(self) -> None:
        """Copy each file, and delete it."""
        self._move("loading/1/1/", "groups/1/loaded/")

    def move(self) -> None:
        """Copy each document, and delete it."""
        self._move("groups/1/documents/", "groups/1/moved/")

    def _move(self, source: str, target: str) -> None:
        for key in self._keys(source):
            new = f"{self._prefix}/{target}{key.removeprefix(f'{self._prefix}/{source}')}"
            self._client.copy_object(Bucket=self._bucket, Key=new, CopySource={"Bucket": self._bucket, "Key": key})
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def _keys(self, below: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._prefix}/{below}"
        )
        return (entry["Key"] for page in pages for entry in page.get("Contents", ()))

    def _get(self, key: str) -> bytes:
        data: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return data

    def _put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{key}", Body=data)


if __name__ == "__main__":
    work = getattr(Loop(*sys.argv[1:4]), sys.argv[4])
    started = time.perf_counter()
    work()
    print(time.perf_counter() - started)
