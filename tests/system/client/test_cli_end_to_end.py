"""The command line as a person types it, against a real web process and real workers."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
from jsonschema import Draft202012Validator
from lxml import etree
from redis import Redis

from psthreads.client import Client
from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.identity.directory import Directory
from psthreads.local.programs import free_port
from psthreads.local.server import RedisServer
from tests.support.checkout import ROOT
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.client.programs import DEADLINE, Programs, Terminal
from tests.system.stack import web, worker

ROUTE = "/members/{member}/groups/{group}/samples/{process}"
XSD = etree.XMLSchema(etree.parse(ROOT / "schemas" / "thread.xsd"))
JSON_SCHEMA = Draft202012Validator(json.loads((ROOT / "schemas" / "thread.schema.json").read_text()))
SCHEMA = b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:element name="note">
    <xs:complexType><xs:sequence><xs:element name="to"/></xs:sequence></xs:complexType>
  </xs:element>
</xs:schema>"""


@dataclass(frozen=True)
class Service:
    """A running service, and the people who use it."""

    url: str
    people: People


class Psthreads(Programs):
    """`psthreads` as processes of its own."""

    def run(self, *arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
        process = self.process(*arguments, **changes)
        stdout, stderr = process.communicate(timeout=DEADLINE)
        assert "Traceback" not in stderr
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def start(self, process: str, *arguments: str) -> str:
        """Start one of the sample processes, and return the thread's id."""
        done = self.run("start", process, "-g", "acme", "--route", ROUTE, *arguments)
        assert done.returncode == 0
        return done.stdout.split()[0]


# The service is shared, since starting it takes longer than most of the tests: they take no fixture that empties Redis.
@pytest.fixture(scope="module")
def service(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    config = Config(
        redis_url=server.url,
        port=free_port(),
        documents=tmp_path_factory.mktemp("documents"),
        processes=("psthreads.processes", "tests.support.sample_processes"),
        grace=2,
        heartbeat=0.5,
        lost_after=4,
        report_interval=0.1,
    )
    url = f"http://127.0.0.1:{config.port}"
    with Redis(unix_socket_path=str(server.socket)) as redis:
        redis.flushall()
        people = People(Directory(redis), Documents(config.documents))
        people.acme_folder.write("/schemas/note.xsd", SCHEMA)
        people.acme_folder.write("/good/a.xml", b"<note><to/></note>")
        people.acme_folder.write("/broken/a.xml", b"<note><to/></note>")
        people.acme_folder.write("/broken/b.xml", b"<note>\n  <from/>\n</note>")
        people.acme_folder.write("/broken/c.xml", b"<note>")
        for number in range(21):
            people.acme_folder.write(f"/many/{number:02}.txt", b"text")
        with web(config), worker(config):
            wait_for(lambda: is_up(url))
            yield Service(url, people)


def is_up(url: str) -> bool:
    try:
        with urlopen(f"{url}/healthz", timeout=5):  # noqa: S310 (our own address)
            return True
    except OSError:
        return False


@pytest.fixture
def psthreads(service: Service, tmp_path: Path) -> Iterator[Psthreads]:
    settings = {
        "PSTHREADS_SERVER": f"{service.url}/ps/service",
        "PSTHREADS_TOKEN": service.people.token("contributor"),
        "PSTHREADS_MEMBER": "contributor",
    }
    with Psthreads(tmp_path, **settings) as psthreads:
        yield psthreads
    # What a test that failed left running would hold up the worker for all the others.
    with Client(service.url, token=service.people.token("chief")) as client:
        for thread in client.threads().threads:
            client.cancel(thread.id, force=True)


@pytest.mark.parametrize(("warn", "status", "code"), [("true", "completed", 0), ("false", "failed", 1)])
def test_a_watched_validation_of_broken_documents_ends_as_it_was_asked_to(
    psthreads: Psthreads, warn: str, status: str, code: int
) -> None:
    done = psthreads.run("start", "validate", "-g", "acme", "-p", "path=/broken", "-p", f"warn={warn}", "--watch")
    assert (done.returncode, done.stderr) == (code, "")
    *_, last, page, data = done.stdout.splitlines()
    assert last == f"{status}  3/3  3 documents: 1 valid by a schema, 2 not valid."
    assert re.fullmatch(r"  report: report-[0-9a-f]{32}\.html", page)
    assert re.fullmatch(r"  report-xml: report-[0-9a-f]{32}\.xml", data)


def test_what_is_wrong_with_a_document_is_in_the_log_and_can_be_asked_for_by_level(psthreads: Psthreads) -> None:
    done = psthreads.run("start", "validate", "-g", "acme", "-p", "path=/broken", "--watch", "--xml")
    thread = etree.fromstring(done.stdout.encode())
    XSD.assertValid(thread)
    assert done.returncode == 1
    assert (thread.attrib["status"], thread.attrib["errors"]) == ("failed", "2")
    thread_id = thread.attrib["id"]
    everything = psthreads.run("logs", thread_id, "-g", "acme").stdout.splitlines()
    grave = psthreads.run("logs", thread_id, "-g", "acme", "--level", "warn").stdout.splitlines()
    assert any(" INFO  Document /broken/a.xml is valid by " in text for text in everything)
    assert grave == [text for text in everything if " ERROR " in text]
    assert re.search(r" ERROR Document /broken/b\.xml is not valid: .*line 2\b", grave[0])
    assert "/broken/c.xml" in grave[1]
    tail = psthreads.run("logs", thread_id, "-g", "acme", "--tail", "2").stdout.splitlines()
    assert tail == everything[-2:]


def test_the_thread_services_are_shown_as_the_server_gives_them(psthreads: Psthreads) -> None:
    thread_id = psthreads.start("count", "-p", "to=2", "--wait", "20")
    thread = [thread_id, "-g", "acme"]
    for command in (
        ["progress", *thread],
        ["logs", *thread],
        ["cancel", *thread],
        ["list", "--status", "finished", "-g", "acme"],
    ):
        xml = psthreads.run(*command, "--xml")
        XSD.assertValid(etree.fromstring(xml.stdout.encode()))
        assert (xml.returncode, thread_id in xml.stdout) == (0, True)
        told = psthreads.run(*command, "--json")
        JSON_SCHEMA.validate(json.loads(told.stdout))
        assert (told.returncode, thread_id in told.stdout) == (0, True)


def test_a_running_thread_is_listed_shown_followed_and_cancelled(psthreads: Psthreads, tmp_path: Path) -> None:
    watching = psthreads.process(
        *("start", "sleep", "-g", "acme", "--route", ROUTE, "-p", f"mark={tmp_path / 'mark'}", "--watch")
    )
    wait_for(lambda: "Running" in psthreads.run("list", "-g", "acme").stdout)
    [text] = psthreads.run("list", "-g", "acme").stdout.splitlines()
    assert re.fullmatch(
        r"[0-9a-f]{32}  [-0-9]{10} [:0-9]{8} +(-|0:00:\d\d)  contributor  Sleeping  inprogress  Running", text
    )
    thread_id = text.split()[0]
    shown = psthreads.run("progress", thread_id, "-g", "acme").stdout.splitlines()
    assert shown == [f"{thread_id}  inprogress  Running", "  Sleeping, started by contributor"]
    following = psthreads.process("logs", thread_id, "-g", "acme", "--follow")
    cancelled = psthreads.run("cancel", thread_id, "-g", "acme")
    assert (cancelled.returncode, cancelled.stdout.split()[0]) == (0, thread_id)
    stdout, stderr = watching.communicate(timeout=DEADLINE)
    assert (watching.returncode, stderr) == (3, "")
    assert stdout.splitlines()[-1] == "cancelled  Cancelled by contributor"
    followed, _ = following.communicate(timeout=DEADLINE)
    assert following.returncode == 0
    assert followed == psthreads.run("logs", thread_id, "-g", "acme").stdout
    assert "Cleaned up" in followed
    assert (tmp_path / "mark").read_text().split() == ["started", "finally"]


def test_a_followed_log_has_every_line_of_a_thread_that_is_writing_it(psthreads: Psthreads) -> None:
    thread_id = psthreads.start("count", "-p", "to=30", "-p", "pause=0.05")
    followed = psthreads.run("logs", thread_id, "-g", "acme", "--follow", "--tail", "1").stdout
    everything = psthreads.run("logs", thread_id, "-g", "acme", "--page-size", "7").stdout
    assert everything.endswith(followed)
    assert re.findall(r"At (\d+)", everything) == [str(number) for number in range(1, 31)]
    assert "Counted to 30" in followed


def test_a_small_export_is_saved_at_once(psthreads: Psthreads, tmp_path: Path) -> None:
    done = psthreads.run("start", "export", "-g", "acme", "-p", "path=/broken", "-p", "excludes=c.xml")
    assert (done.returncode, done.stdout) == (0, "Saved acme-export.zip\n")
    with zipfile.ZipFile(tmp_path / "acme-export.zip") as archive:
        assert archive.namelist() == ["broken/a.xml", "broken/b.xml"]
    again = psthreads.run("start", "export", "-g", "acme", "-p", "path=/broken")
    assert (again.returncode, "exists already" in again.stderr) == (4, True)


def test_a_large_export_is_a_thread_whose_file_can_then_be_downloaded(psthreads: Psthreads, tmp_path: Path) -> None:
    done = psthreads.run("start", "export", "-g", "acme", "-p", "path=/many", "--watch")
    assert done.returncode == 0
    *_, ended, made = done.stdout.splitlines()
    assert ended.startswith("completed  21/21  Exported 21 documents")
    filename = made.removeprefix("  zip: ")
    saved = psthreads.run("download", "acme", filename)
    assert (saved.returncode, saved.stdout) == (0, f"Saved {filename}\n")
    with zipfile.ZipFile(tmp_path / filename) as archive:
        assert archive.namelist() == [f"many/{number:02}.txt" for number in range(21)]
    assert psthreads.run("download", "other", filename).returncode == 4


def test_work_on_the_whole_server_is_for_administrators(psthreads: Psthreads, service: Service) -> None:
    chief = {"PSTHREADS_TOKEN": service.people.token("chief"), "PSTHREADS_MEMBER": "chief"}
    command = ("start", "server-wide", "--route", "/members/{member}/samples/{process}", "--watch")
    done = psthreads.run(*command, **chief)
    assert (done.returncode, done.stdout.splitlines()[-1].split()[0]) == (0, "completed")
    assert "server-wide" not in psthreads.run("list", "--status", "completed", "-g", "acme").stdout
    assert "  chief  On the server  completed" in psthreads.run("list", "--status", "completed", **chief).stdout
    refused = psthreads.run("list")
    assert (refused.returncode, refused.stdout) == (4, "")
    assert refused.stderr == "Error: Only administrators may use the services of the whole server.\n"


def test_the_token_and_the_member_can_be_in_a_file(psthreads: Psthreads, service: Service, tmp_path: Path) -> None:
    file = tmp_path / ".config" / "psthreads.toml"
    file.parent.mkdir()
    token = service.people.token("manager")
    file.write_text(f'server = "{service.url}"\ntoken = "{token}"\nmember = "manager"\n')
    file.chmod(0o600)
    nothing = dict.fromkeys(("PSTHREADS_SERVER", "PSTHREADS_TOKEN", "PSTHREADS_MEMBER"))
    command = ("start", "validate", "-g", "acme", "-p", "path=/good", "--wait", "20", "--json")
    done = psthreads.run(*command, **nothing)
    assert (done.returncode, done.stderr) == (0, "")
    thread = json.loads(done.stdout)
    assert (thread["username"], thread["status"], thread["message"]) == (
        "manager",
        "completed",
        "1 document: 1 valid by a schema.",
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "-g", "acme", "--token", "wrong"], "These credentials are not accepted"),
        (["list", "-g", "nowhere"], "Group 'nowhere' does not exist."),
        (["progress", "0" * 32, "-g", "acme"], "does not exist here"),
        (["cancel", "0" * 32, "-g", "acme"], "There is no thread"),
        (["start", "validate", "-g", "acme", "-p", "path=/../x"], "is not accepted"),
        (["start", "validate", "-g", "acme", "--member", "manager"], "may only act as yourself"),
    ],
)
def test_a_refusal_is_one_sentence_of_the_servers(psthreads: Psthreads, arguments: list[str], words: str) -> None:
    done = psthreads(*arguments)  # In this process: they are many, and their exit codes are alike.
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (4, "", 1)
    assert words in done.stderr


def test_a_server_that_is_not_there_is_4(psthreads: Psthreads) -> None:
    with socket.socket() as taken:  # Nobody listens there, and nobody else can.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = psthreads.run("list", "--server", url)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"Error: The server {url} does not answer: Connection refused.\n"


def interrupted(psthreads: Psthreads, tmp_path: Path) -> Terminal:
    started = ("start", "sleep", "-g", "acme", "--route", ROUTE, "-p", f"mark={tmp_path / 'mark'}")
    screen = psthreads.terminal(*started, "--watch")
    screen.until("Running")
    screen.type("\x03")
    screen.until("leave it running")
    return screen


def test_ctrl_c_can_cancel_a_running_thread(psthreads: Psthreads, tmp_path: Path) -> None:
    screen = interrupted(psthreads, tmp_path)
    screen.type("c\n")
    assert screen.end() == 3
    assert "cancelled  Cancelled by contributor" in screen.shown
    assert (tmp_path / "mark").read_text().split() == ["started", "finally"]


def test_ctrl_c_can_leave_a_running_thread(psthreads: Psthreads, tmp_path: Path) -> None:
    screen = interrupted(psthreads, tmp_path)
    screen.type("l\n")
    assert screen.end() == 130
    told = re.search(r"psthreads cancel ([0-9a-f]{32}) --group acme", screen.shown)
    assert told
    assert "inprogress" in psthreads.run("progress", told[1], "-g", "acme").stdout
    # What was told is what works.
    assert psthreads.run(*told[0].split()[1:], "--force").returncode == 0
    assert psthreads.run("progress", told[1], "-g", "acme", "--watch").returncode == 3
