"""Claims about Saxon as it is set up, where the kernel confines nothing, and about machines without it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.extras import without_extras
from tests.support.publishing import assert_nobody_called, listening

__all__ = ["listening"]

PROGRAM = """
import json, sys
from pathlib import Path
from lxml import etree
from psthreads.documents.layout import Documents
from psthreads.domain.access import Group
from psthreads.processes.xml.catalogs.locating import Locator
from psthreads.processes.xml.includes import Includer
from psthreads.processes.xml.saxon.engine import Failed, Saxon
files = Documents(Path(sys.argv[1])).group(Group(7, "acme"))
files.create()
saxon = Saxon(files, Locator(files), Includer(files))
answers = {}
for expression in json.loads(sys.argv[2]):
    root = etree.fromstring(
        '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="3.0">'
        '<xsl:output method="text"/><xsl:template match="/"><xsl:value-of/></xsl:template></xsl:stylesheet>'
    )
    stylesheet = saxon.compile("/s.xsl", root)
    compiler = saxon.processor.new_xslt30_processor()
    root[1][0].set("select", expression)  # As it is, so that no function is replaced.
    compiled = compiler.compile_stylesheet(stylesheet_text=etree.tostring(root, encoding="unicode"))
    try:
        answers[expression] = compiled.transform_to_string(xdm_node=saxon.node(etree.fromstring("<a/>"), "/a.xml"))
    except Exception as error:
        answers[expression] = f"refused: {error}"
print(json.dumps(answers))
"""


def test_saxon_reads_neither_files_nor_the_network_nor_the_environment(
    tmp_path: Path, listening: socket.socket
) -> None:
    (tmp_path / "secret.txt").write_text("the secret outside")
    port = listening.getsockname()[1]
    refused = [
        f"unparsed-text('{(tmp_path / 'secret.txt').as_uri()}')",
        f"collection('{tmp_path.as_uri()}') ! base-uri(.)",
        f"uri-collection('{tmp_path.as_uri()}')",
        f"document('http://127.0.0.1:{port}/x')",
        f"unparsed-text('http://127.0.0.1:{port}/x')",
        "doc('jar:file:///x.jar!/x')",
        "doc('classpath:/x')",
    ]
    empty = ["environment-variable('SECRET_OF_THE_TEST')", "available-environment-variables()"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "root"), json.dumps(refused + empty)],
        env=os.environ | {"SECRET_OF_THE_TEST": "the secret outside"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    answers = json.loads(done.stdout)
    assert [each for each in refused if not answers[each].startswith("refused: ")] == []
    assert [answers[each] for each in empty] == ["", ""]
    assert "the secret" not in done.stdout.decode()
    assert_nobody_called(listening)


XSL = 'xmlns:xsl="http://www.w3.org/1999/XSL/Transform"'


def test_without_the_extra_a_later_stylesheet_is_refused_in_one_sentence(tmp_path: Path) -> None:
    inside = tmp_path / "groups" / "7"
    for name, text in {
        "stylesheets/publish.xsl": f'<xsl:stylesheet {XSL} version="2.0"/>',
        "d/a.xml": "<a/>",
    }.items():
        (inside / name).parent.mkdir(parents=True)
        (inside / name).write_text(text)
    status, sentence = without_extras(tmp_path, "publish")
    assert status == "failed"
    assert sentence == (
        "The stylesheet /stylesheets/publish.xsl cannot be used, and nothing was published: it is a stylesheet of XSLT"
        " 2.0, and this needs Saxon, which is not installed here: pip install 'psthreads[saxon]' for the workers"
    )
    assert not (tmp_path / "results").exists()
