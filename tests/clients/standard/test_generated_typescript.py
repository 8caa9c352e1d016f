"""A TypeScript client of the types that openapi-typescript generates from the live document, with openapi-fetch."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from tests.clients.standard import node_packages
from tests.clients.standard.conftest import Service


def test_a_generated_typescript_client_does_all_that_a_person_does(service: Service, tmp_path: Path) -> None:
    packages = node_packages.install()
    folder = packages.copy(tmp_path / "client")
    (folder / "openapi.json").write_bytes(httpx.get(f"{service.url}/openapi.json", timeout=60).content)
    packages.run("openapi-typescript", "openapi.json", "--output", "schema.ts", folder=folder)
    options = ("--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable")
    packages.run("tsc", *options, "--skipLibCheck", "generated.ts", folder=folder)
    program = service.program("typescript")
    said = packages.run(
        "node",
        "generated.js",
        folder=folder,
        SERVER=f"{service.url}/api/v1",
        CLIENT_ID=program[0],
        CLIENT_SECRET=program[1],
        MARK=str(tmp_path / "mark"),
        UNTIL=str(tmp_path / "never"),
    )
    assert json.loads(said) == {
        "status": "completed",
        "events": [1, 2],
        "bytes": list(b"PK"),
        "cancelled": "cancelled",
        "refused": "Group 'nowhere' does not exist.",
    }
