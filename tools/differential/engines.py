"""Other validators, where they are installed: each says of documents and one schema whether they are valid.

None of them may use the network. References are resolved by the catalog of the folder, if it has one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

_SECONDS: Final = 60  # for a document
_TOGETHER: Final = 200  # documents for one start of Java
_UNUSABLE: Final = frozenset({2, 5, 6, 9})  # exits of xmllint: not the document, but the schema, or the memory
_OFFLINE: Final = "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=9 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9"
_VALIDATE: Final = Path(__file__).with_name("Validate.java")
_SCHEMATRON: Final = Path(__file__).with_name("schematron.py")


class Answer(StrEnum):
    """What a validator says of a document."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"
    """It took too long, could not use the schema, or did not have what it needs."""


class Kind(StrEnum):
    """What a document is checked by."""

    XML = "well-formedness"
    DTD = "DTD"
    XSD = "XML Schema"
    RNG = "RELAX NG"
    RNC = "RELAX NG compact"
    SCH = "Schematron"


@dataclass(frozen=True, slots=True)
class Engine:
    """Another validator. `answers` takes a kind, a schema, which XML and DTD do not have, and the documents."""

    name: str
    kinds: frozenset[Kind]
    answers: Callable[[Kind, Path | None, Sequence[Path]], list[Answer]]


def engines(catalog: Path | None) -> list[Engine]:
    """Return those that are installed."""
    installed = []
    if program := shutil.which("xmllint"):
        kinds = frozenset({Kind.XML, Kind.DTD, Kind.XSD, Kind.RNG})
        installed.append(Engine("xmllint", kinds, _Xmllint(program, catalog).answers))
    if program := shutil.which("jing"):
        installed.append(Engine("jing", frozenset({Kind.RNG, Kind.RNC}), _Jing(program, catalog).answers))
    if shutil.which("javac") and (program := shutil.which("java")):  # Only a JDK can run a source file.
        installed.append(Engine("Xerces", frozenset({Kind.DTD, Kind.XSD}), _Xerces(program, catalog).answers))
    if importlib.util.find_spec("saxonche"):
        installed.append(Engine("Saxon", frozenset({Kind.SCH}), _saxon))
    return installed


@dataclass(frozen=True, slots=True)
class _Xmllint:
    program: str
    catalog: Path | None

    def answers(self, kind: Kind, schema: Path | None, documents: Sequence[Path]) -> list[Answer]:
        options = {
            Kind.XML: ["--noout", "--noent", "--loaddtd"],
            Kind.DTD: ["--noout", "--noent", "--valid"],
            Kind.XSD: ["--noout", "--schema", str(schema)],
            Kind.RNG: ["--noout", "--relaxng", str(schema)],
        }[kind]
        environment = os.environ | {"XML_CATALOG_FILES": self.catalog.as_uri() if self.catalog else ""}

        def answer(document: Path) -> Answer:
            code, _, said = _run([self.program, "--nonet", *options, str(document)], 1, environment)
            if code is None or (code in _UNUSABLE and kind is not Kind.XML):
                return Answer.UNKNOWN
            return _answer(code or (kind is Kind.XML and "namespace error :" in said))

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(answer, documents))


@dataclass(frozen=True, slots=True)
class _Jing:
    program: str
    catalog: Path | None

    def answers(self, kind: Kind, schema: Path | None, documents: Sequence[Path]) -> list[Answer]:
        # ID and IDREF are of another specification than RELAX NG, and grammars that break it are widespread.
        options = ["-i", *(["-c"] if kind is Kind.RNC else [])]
        answers: list[Answer] = []
        batches = [(batch, self.catalog) for batch in _batches(documents)]
        while batches:
            batch, catalog = batches.pop(0)
            by_catalog = ["-C", str(catalog)] if catalog else []
            command = [self.program, *options, *by_catalog, str(schema), *map(str, batch)]
            code, output, said = _run(command, len(batch), os.environ | {"JAVA_TOOL_OPTIONS": _OFFLINE})
            wrong = set(re.findall(r"^(.+?):\d+:\d+: error", output, re.MULTILINE))
            has_crashed = "Exception in thread" in said
            # At a DTD that is not there, for example: it reads no further document.
            has_stopped = has_crashed or re.search(r"^(.+: )?fatal: ", output, re.MULTILINE)
            if has_crashed and catalog:  # Some versions do, at every entity without a public identifier.
                batches.insert(0, (batch, None))
            elif has_stopped and len(batch) > 1:
                half = len(batch) // 2
                batches[:0] = [(batch[:half], catalog), (batch[half:], catalog)]
            elif has_stopped or code is None or str(schema) in wrong or (code and not wrong):
                answers += [Answer.UNKNOWN] * len(batch)
            else:
                answers += [_answer(str(document) in wrong) for document in batch]
        return answers


@dataclass(frozen=True, slots=True)
class _Xerces:
    program: str
    catalog: Path | None

    def answers(self, _kind: Kind, schema: Path | None, documents: Sequence[Path]) -> list[Answer]:
        properties = ["-Djavax.xml.accessExternalDTD=file", "-Djavax.xml.accessExternalSchema=file"]
        if self.catalog:
            properties += [f"-Djavax.xml.catalog.files={self.catalog.as_uri()}", "-Djavax.xml.catalog.resolve=continue"]
        return _lines([self.program, *properties, str(_VALIDATE), str(schema or "")], documents)


def _saxon(_kind: Kind, schema: Path | None, documents: Sequence[Path]) -> list[Answer]:
    return _lines([sys.executable, str(_SCHEMATRON), str(schema)], documents)


def _lines(command: Sequence[str], documents: Sequence[Path]) -> list[Answer]:
    """Return the answers of a program that prints one for each document."""
    answers: list[Answer] = []
    for batch in _batches(documents):
        lines = _run([*command, *map(str, batch)], len(batch))[1].splitlines()
        is_complete = len(lines) == len(batch) and set(lines) <= {*Answer}
        answers += [Answer(line) for line in lines] if is_complete else [Answer.UNKNOWN] * len(batch)
    return answers


def _answer(code: int) -> Answer:
    return Answer.INVALID if code else Answer.VALID


def _batches(documents: Sequence[Path]) -> list[Sequence[Path]]:
    return [documents[start : start + _TOGETHER] for start in range(0, len(documents), _TOGETHER)]


def _run(command: list[str], documents: int, environment: dict[str, str] | None = None) -> tuple[int | None, str, str]:
    """Return the exit code, None after too long or a signal, and what the program wrote to stdout and stderr."""
    try:
        done = subprocess.run(  # noqa: S603 (programs of this machine, on documents that its user names)
            command, capture_output=True, env=environment, timeout=_SECONDS * documents, check=False
        )
    except subprocess.TimeoutExpired:
        return None, "", ""
    code = done.returncode if done.returncode >= 0 else None
    return code, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
