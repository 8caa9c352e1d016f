"""The command line: what it sends, what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.scripted_server import (
    CANCEL,
    ID,
    LOGS,
    PROGRESS,
    START,
    Answer,
    Scripted,
    logs_xml,
    running,
    thread_xml,
)


def test_help_tells_the_exit_codes_and_where_settings_come_from(run: CommandLine) -> None:
    shown = run("--help").stdout
    for part in ("Exit codes", "PSTHREADS_TOKEN", "psthreads.toml", "130", "Client commands:", "Server commands:"):
        assert part in shown


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("failed", 1), ("cancelled", 3), ("paused", 1)])
def test_the_exit_code_of_a_watched_start_is_the_threads_end(
    run: CommandLine, scripted: Scripted, status: str, code: int
) -> None:
    scripted.say(START, Answer(202, thread_xml("initialised")))
    ended = thread_xml(status, "<message>Over</message>", 'ended="2022-05-16T12:14:01Z"')
    scripted.say(PROGRESS, Answer(200, running()), Answer(200, running()), Answer(200, ended))
    done = run("start", "validate", "--group", "acme", "-p", "warn=true", "-p", "wait=a=b", "--watch")
    assert done.stdout.splitlines() == ["initialised", "inprogress  1/9  Working", f"{status}  Over"]
    assert done.exit_code == code
    assert scripted.requests(START)[0].form == {"warn": ["true"], "wait": ["a=b"]}


def test_a_result_is_printed_on_a_line_of_its_own(run: CommandLine, scripted: Scripted) -> None:
    inside = '<message>Over</message><zip>a.zip</zip><result type="json">{"a": ["&lt;", "\u202e"]}</result>'
    scripted.say(PROGRESS, Answer(200, thread_xml("completed", inside)))
    assert run("progress", ID, "-g", "acme").stdout.splitlines()[-2:] == ["  zip: a.zip", '  result: {"a": ["<", ""]}']


def test_a_start_that_is_not_watched_prints_the_thread_and_returns(run: CommandLine, scripted: Scripted) -> None:
    scripted.say(START, Answer(202, running()))
    done = run("start", "validate", "-g", "acme")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{ID}  inprogress  1/9  Working\n")


def test_a_start_can_name_its_route_and_have_a_parameter_of_that_name(run: CommandLine, scripted: Scripted) -> None:
    scripted.say("/members/jjones/samples/count", Answer(202, running()))
    done = run("start", "count", "--route", "/members/{member}/samples/{process}", "-p", "route=a", "-p", "to=3")
    assert done.exit_code == 0
    assert scripted.asked[0].form == {"route": ["a"], "to": ["3"]}


def test_a_result_that_is_ready_at_once_is_saved(run: CommandLine, scripted: Scripted, tmp_path: Path) -> None:
    headers = {"Content-Type": "application/zip", "Content-Disposition": 'attachment; filename="acme.zip"'}
    scripted.say("/members/jjones/groups/acme/export", Answer(200, b"PK", headers))
    assert run("start", "export", "-g", "acme").stdout == "Saved acme.zip\n"
    assert (tmp_path / "acme.zip").read_bytes() == b"PK"
    again = run("start", "export", "-g", "acme")
    assert (again.exit_code, again.stdout) == (4, "")
    assert "exists already" in again.stderr


def test_xml_and_json_are_the_servers_own(run: CommandLine, scripted: Scripted) -> None:
    scripted.say(PROGRESS, Answer(200, running()), Answer(200, '{"id": "x"}'))
    assert run("progress", ID, "-g", "acme", "--xml").stdout == running() + "\n"
    assert json.loads(run("progress", ID, "-g", "acme", "--json").stdout) == {"id": "x"}
    first, second = (asked.headers["Accept"] for asked in scripted.asked)
    assert first.startswith("application/xml")
    assert second == "application/json"


def test_list_has_a_line_for_each_thread(run: CommandLine, scripted: Scripted) -> None:
    times = 'created="2022-05-16T12:14:01Z" started="2022-05-16T12:14:02Z" heard="2022-05-16T13:15:08.4Z"'
    threads = running() + thread_xml("failed", attributes=times)
    scripted.say("/threads", Answer(200, f'<threads page="1" page-size="50" total="2">{threads}</threads>'))
    done = run("list", "--status", "failed", TZ="UTC")
    assert done.stdout.splitlines() == [
        f"{ID}  -         -  jjones  Validating  inprogress  1/9  Working",
        f"{ID}  2022-05-16 12:14:01   1:01:06  jjones  Validating  failed",
    ]
    assert scripted.asked[0].query["status"] == ["failed"]


def test_list_all_goes_on_by_the_cursor(run: CommandLine, scripted: Scripted) -> None:
    head = '<threads page="1" page-size="200" total="2"'
    scripted.say(
        "/threads",
        Answer(200, f'{head} next-cursor="17-ab">{running()}</threads>'),
        Answer(200, f"{head}>{running()}</threads>"),
    )
    assert len(run("list", "--all").stdout.splitlines()) == 2
    assert scripted.asked[1].query == {"page-size": ["200"], "cursor": ["17-ab"]}


def test_logs_prints_every_page(run: CommandLine, scripted: Scripted) -> None:
    scripted.say(LOGS, Answer(200, logs_xml(1, 2, 3, 3)), Answer(200, logs_xml(3, 3, 3, 4)))
    shown = run("logs", ID, "-g", "acme").stdout.splitlines()
    assert [text.split()[1:] for text in shown] == [["INFO", "Line", str(number)] for number in (1, 2, 3)]


def test_logs_follows_from_the_tail_to_the_end(run: CommandLine, scripted: Scripted) -> None:
    scripted.say(LOGS, Answer(200, logs_xml(8, 9, 9, 10)), Answer(200, logs_xml(10, 11, 11, 12)))
    scripted.say(PROGRESS, Answer(200, thread_xml("completed")))
    shown = run("logs", ID, "-g", "acme", "--tail", "2", "--follow").stdout.splitlines()
    assert [text.split()[-1] for text in shown] == ["8", "9", "10", "11"]
    assert [asked.query.get("from") for asked in scripted.requests(LOGS)[:2]] == [None, ["10"]]


def test_cancel_says_how_the_thread_stands_or_that_there_is_none(run: CommandLine, scripted: Scripted) -> None:
    stands = "<thread-cancel>" + thread_xml("cancelled") + "</thread-cancel>"
    scripted.say(CANCEL, Answer(200, stands), Answer(200, "<thread-cancel/>"))
    assert run("cancel", ID, "-g", "acme", "--force", "--reason", "too slow").stdout.startswith(f"{ID}  cancelled\n")
    assert scripted.asked[0].form == {"force": ["true"], "reason": ["too slow"]}
    assert run("cancel", ID, "-g", "acme").exit_code == 4


def test_download_saves_a_result(run: CommandLine, scripted: Scripted, tmp_path: Path) -> None:
    scripted.say("/ps/member-resource/acme/a.zip", Answer(200, b"PK", {"Content-Type": "application/zip"}))
    assert run("download", "acme", "a.zip", "-o", "b.zip").stdout == "Saved b.zip\n"
    assert (tmp_path / "b.zip").read_bytes() == b"PK"


@pytest.mark.parametrize(
    "arguments",
    [
        ["start"],
        ["progress", ".."],
        ["start", "validate", "-p", "warn"],
        ["start", "validate", "--route", "/members/{member}/groups/{group}/validate"],
        ["logs", ID, "--follow", "--json"],
        ["list", "--server", "localhost"],
        ["list", "--all", "--page", "2"],
        ["list", "--all", "--json"],
        ["list", "--config", "/nowhere.toml"],
        ["list", "--username", "zoe"],
    ],
)
def test_a_command_that_makes_no_sense_is_2_and_sends_nothing(
    run: CommandLine, scripted: Scripted, arguments: list[str]
) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr
    assert scripted.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(403, "<error id='0403'><message>Ask \x9b1man administrator.</message></error>"),
        Answer(200, "<thread"),
        Answer(500, "Oops", {"Content-Type": "text/plain"}),
    ],
)
def test_trouble_with_the_server_is_4_and_one_sentence(run: CommandLine, scripted: Scripted, answer: Answer) -> None:
    scripted.say("/threads", answer)
    done = run("list")
    assert done.exit_code == 4
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert "\x9b" not in done.stderr
