"""Claims about the report of a validation: that every finding is in it, and that it can do no harm."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree, html

from psthreads.authoring.context import Cancelled
from psthreads.documents.layout import ResultFile
from psthreads.domain.model import Level
from psthreads.processes.validate import validate
from psthreads.processes.xml import checking as _checking
from tests.support.group_of_documents import THREAD, GroupOfDocuments
from tests.support.validating import NOTE_SCH, NOTE_XSD

HOSTILE = "<script>alert(1)</script>&\"'"


@pytest.fixture
def group(tmp_path: Path) -> GroupOfDocuments:
    return GroupOfDocuments(tmp_path, validate)


def xml_of(group: GroupOfDocuments) -> etree._Element:
    return etree.parse(group.results / f"report-{THREAD}.xml").getroot()


def text_of(group: GroupOfDocuments) -> str:
    return (group.results / f"report-{THREAD}.html").read_text()


def test_every_finding_stands_in_both_with_its_line_column_schema_and_text(group: GroupOfDocuments) -> None:
    group.write(
        {
            "schemas/note.xsd": NOTE_XSD,
            "schemas/note.sch": NOTE_SCH,
            "a.xml": "<note>\n <p>x</p><p>-1</p></note>",
            "b.xml": "<note>\n<p>1</p>",
            "c.xml": "<note><p>1</p></note>",
            "d.png": "",
        }
    )
    outcome = group.run()
    report = xml_of(group)
    assert report.get("thread") == THREAD
    assert (report.get("group"), report.get("path")) == ("acme", "/")
    assert report.findtext("summary") == outcome.message
    found = [
        (document.get("path"), *(problem.get(name) for name in ("line", "column", "schema")))
        for document in report.iter("document")
        for problem in document
    ]
    assert ("/a.xml", "2", "2", "/schemas/note.xsd") in found
    assert ("/a.xml", "2", "10", "/schemas/note.sch") in found
    assert found[-1][0] == "/b.xml"
    assert found[-1][3] is None
    texts = [problem.text for problem in report.iter("problem")]
    assert "A p is positive, not -1" in texts
    assert str(len(texts)) == report.get("problems")
    page = html.fromstring(text_of(group))
    assert [heading.text for heading in page.iter("h2")] == ["/a.xml", "/b.xml"]
    cells = [[cell.text or "" for cell in row.iter("td")] for row in page.iter("tr")]
    for problem in report.iter("problem"):
        row = [problem.get("line"), problem.get("column"), problem.get("schema", ""), problem.text]
        assert row in cells
    assert (outcome.message) in [each.text for each in page.iter("p")]


def test_a_valid_group_has_a_report_too_and_the_thread_names_both(group: GroupOfDocuments) -> None:
    group.write({"a.xml": "<a/>"})
    group.run()
    assert list(xml_of(group).iter("document")) == []
    assert group.reporter.xml.endswith(
        f"<report>report-{THREAD}.html</report><report-xml>report-{THREAD}.xml</report-xml>"
    )


def test_what_a_document_says_is_only_ever_text(group: GroupOfDocuments) -> None:
    escaped = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    group.write(
        {
            "schemas/note.xsd": NOTE_XSD,
            f"<img src=x onerror=alert(1)> {HOSTILE.replace('/', '')}.xml": f"<note><p>{escaped}</p></note>",
            "}}{{ 7*7 }}\ufffe.xml": "<note/>",
        }
    )
    group.run()
    page = text_of(group)
    assert "<script" not in page
    assert "<img" not in page
    tree = html.fromstring(page)
    assert tree.findall(".//script") == []
    assert [name for each in tree.iter() for name in each.attrib if str(name).startswith("on")] == []
    policy = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert page.startswith("<!DOCTYPE html>")
    assert "color-scheme: light dark" in page
    assert "prefers-color-scheme: dark" in page
    assert "alert(1)" in "".join(tree.itertext())
    assert len(list(xml_of(group).iter("document"))) == 2


def test_the_log_tells_twenty_and_the_report_a_thousand_problems_of_a_document(group: GroupOfDocuments) -> None:
    group.write({"schemas/note.xsd": NOTE_XSD, "a.xml": f"<note>{'<p>x</p>' * 3_000}</note>"})
    group.run(path="a.xml")
    assert len(group.reporter.lines(Level.ERROR)) == 21
    (document,) = xml_of(group).iter("document")
    assert len(document) == 1_000
    assert (document.get("problems"), document.get("more")) == ("1000", "true")
    assert xml_of(group).get("most-of-one-document") == "1000"
    assert "There are more than these 1,000." in text_of(group)


def test_what_could_not_be_checked_and_why_is_in_the_report(
    group: GroupOfDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_checking, "LARGEST_TREE", 4_500_000)
    group.write({"schemas/note.sch": NOTE_SCH, "a.xml": f"<note>{'<p>1</p>' * 600_000}</note>", "b.xml": "<b/>"})
    group.run(warn="true")
    (document,) = xml_of(group).iter("document")
    assert [reason.text for reason in document.iter("not-checked")] == [
        "it is too large to be checked by /schemas/note.sch"
    ]
    assert "Could not be checked: it is too large to be checked by /schemas/note.sch" in text_of(group)


def test_the_report_counts_four_kinds_and_names_the_schemas_that_were_applied(group: GroupOfDocuments) -> None:
    group.write({"schemas/note.xsd": NOTE_XSD, "a.xml": "<note><p>1</p></note>", "b.xml": "<b/>", "c.xml": "<c>"})
    group.write({"d.xml": "<note/>", "schemas/e.sch": "", "e.xml": "<e/>"})
    group.run(path="a.xml")
    group.run()
    report = xml_of(group)
    counts = ("valid", "well-formed", "invalid", "not-checked")
    assert {name: report.get(name) for name in counts} == {
        "valid": "1",
        "well-formed": "2",
        "invalid": "3",
        "not-checked": "1",
    }
    (schema,) = report.iter("schema")
    assert dict(schema.attrib) == {"path": "/schemas/note.xsd", "documents": "2"}


@pytest.mark.parametrize("at", [1, 2])
def test_a_cancel_while_a_report_is_written_leaves_neither(group: GroupOfDocuments, at: int) -> None:
    group.write({"a.xml": "<a>"})
    context = group.context()
    result, count = context.result, iter(range(1, 9))

    class Cancelling:
        def __init__(self, filename: str) -> None:
            self.inner = result(filename)

        def __enter__(self) -> ResultFile:
            file = self.inner.__enter__()
            if next(count) == at:
                context.interrupt(Cancelled())
            return file

        def __exit__(self, *error: object) -> None:
            self.inner.__exit__(*error)  # type: ignore[arg-type]

    context.result = Cancelling  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        validate.function(context, "/")
    context.stop_interrupts()
    context.clean_up()
    context.close()
    assert list(group.results.iterdir()) == []


def test_a_cancel_while_the_reports_get_their_names_leaves_both_or_neither(group: GroupOfDocuments) -> None:
    group.write({"a.xml": "<a>"})
    context = group.context()
    element = context.element

    def cancelling(name: str, text: str | None = None) -> None:
        if name == "report":
            context.interrupt(Cancelled())
        element(name, text)

    context.element = cancelling  # type: ignore[method-assign, assignment]
    with pytest.raises(Cancelled):
        validate.function(context, "/")
    context.stop_interrupts()
    context.clean_up()
    for report in context.close():
        group.reporter.report(report)
    assert len(list(group.results.iterdir())) == 2
    assert "<report-xml>" in group.reporter.xml
