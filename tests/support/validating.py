"""A group whose documents a test validates, and what is outside of it that nobody may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from psthreads.authoring.context import Context
from psthreads.documents.layout import Documents
from psthreads.documents.storage import Storage
from psthreads.domain.access import Group, Member
from psthreads.domain.model import Level, Outcome, Status
from psthreads.processes.bounded.files import Files
from psthreads.processes.validate import validate
from psthreads.processes.validation.validator import Validator
from psthreads.processes.xml.checking import PLAIN, CheckOptions
from tests.support.backends import bucket_at
from tests.support.group_of_documents import Reports
from tools.object_store import ObjectServer

GROUP = Group(7, "acme")
MEMBER = Member(1, "jjones")
SECRET = "the secret outside"
XS = 'xmlns:xs="http://www.w3.org/2001/XMLSchema"'
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
RNG = 'xmlns="http://relaxng.org/ns/structure/1.0"'
SCH = 'xmlns="http://purl.oclc.org/dsdl/schematron"'
NOTE_XSD = f"""\
<xs:schema {XS}><xs:element name="note"><xs:complexType><xs:sequence>
<xs:element name="p" type="xs:int" maxOccurs="unbounded"/></xs:sequence></xs:complexType></xs:element></xs:schema>"""
NOTE_RNG = f"""\
<element name="note" {RNG} datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
<oneOrMore><element name="p"><data type="int"/></element></oneOrMore></element>"""
NOTE_SCH = f"""\
<schema {SCH}><pattern><rule context="p"><assert test=". &gt; 0">A p is positive, not <value-of select="."/>.</assert>
<report test=". = 13" role="warning">Bad luck.</report></rule></pattern></schema>"""


def limited(monkeypatch: pytest.MonkeyPatch, *, seconds: float, memory: int) -> None:
    """Give the child that validates less than usual."""
    original = Validator.__init__

    def init(self: Validator, context: Context, files: Files, options: CheckOptions = PLAIN) -> None:
        original(self, context, files, seconds, memory, options)

    monkeypatch.setattr(Validator, "__init__", init)


class Running:
    """A group's folder, and the process run in it."""

    def __init__(self, root: Path, server: ObjectServer | None = None) -> None:
        self.root = root
        self.documents: Storage = bucket_at(root, server) if server else Documents(root)
        self.folder = self.documents.group(GROUP)
        self.inside = root / "groups" / "7"
        self.folder.create()
        self.reporter = Reports()

    def context(self) -> Context:
        self.reporter = Reports()
        return Context(
            thread_id="0" * 32,
            member=MEMBER,
            group=GROUP,
            folder=self.folder,
            results=self.documents.results(GROUP.id),
            scratch=self.documents.scratch,
            reporter=self.reporter,
        )

    def write(self, **documents: str) -> None:
        for name, text in documents.items():
            self.folder.write(name.replace("__", "/").replace("_", "."), text.encode())

    def run(self, path: str = "/", *, warn: bool = False, require_schema: bool = False) -> Outcome:
        context = self.context()
        try:
            outcome = validate.function(context, path, warn, require_schema)
        finally:
            context.clean_up()
        for report in context.close():
            self.reporter.report(report)
        assert isinstance(outcome, Outcome)
        return outcome

    def errors(self, path: str = "/") -> list[str]:
        """What is said at ERROR level, when a run fails because of it."""
        assert self.run(path).status is Status.FAILED
        everything = "\n".join(self.reporter.lines())
        assert SECRET not in everything
        assert str(self.root) not in everything
        assert "lxml" not in everything
        return self.reporter.lines(Level.ERROR)

    def is_valid(self, path: str = "/") -> bool:
        status = self.run(path).status
        assert (status is Status.COMPLETED) == (not self.reporter.lines(Level.ERROR))
        return status is Status.COMPLETED


def with_secrets_outside(tmp_path: Path, server: ObjectServer | None = None) -> Running:
    """A group, and beside its folder documents and schemas that must not be read."""
    (tmp_path / "outside.xml").write_text(f"<p>{SECRET}</p>")
    (tmp_path / "outside.xsd").write_text(f'<xs:schema {XS}><xs:element name="out" type="xs:string"/></xs:schema>')
    (tmp_path / "outside.rng").write_text(
        f'<grammar {RNG}><start><element name="note"><text/></element></start></grammar>'
    )
    (tmp_path / "outside.sch").write_text(f'<pattern {SCH}><rule context="p"><assert test="1"/></rule></pattern>')
    return Running(tmp_path / "root", server)
