"""`psthreads run --reload`: what an author saves is what runs next."""

from __future__ import annotations

from pathlib import Path

from psthreads.client import Download
from tests.support.waiting import wait_for
from tests.system.local.runner import Runner, folder

__all__ = ["folder"]

PROCESS = """
from psthreads import Context, process
from words import WORDS

@process(title="Saying it to {group}")
def say(context: Context, pause: float = 0.0) -> str:
    \"\"\"Says what there is to say.\"\"\"
    import time
    context.message("At work")
    time.sleep(pause)
    return WORDS
"""


def said(runner: Runner) -> str:
    with runner.client() as client:
        thread = client.start("say", "acme")
        assert not isinstance(thread, Download)
        wait_for(lambda: client.progress(thread.id, "acme").status in {"completed", "failed"})
        return client.progress(thread.id, "acme").message


def test_a_changed_file_is_what_the_next_thread_runs_and_a_broken_one_waits_for_its_mending(folder: Path) -> None:
    (folder / "say.py").write_text(PROCESS)
    (folder / "words.py").write_text("WORDS = 'first'\n")
    with Runner(folder, "--reload", PSTHREADS_PROCESSES="psthreads.processes,say", WORKERS="1") as runner:
        wait_for(runner.is_up, 60)
        assert said(runner) == "first"
        with runner.client() as client:
            running = client.start("say", "acme", pause="100")
            assert not isinstance(running, Download)
            wait_for(lambda: client.progress(running.id, "acme").message == "At work")
        (folder / "words.py").write_text("WORDS = oops\n")
        wait_for(lambda: runner.says("Change a file to try again."), 60)
        assert runner.says("Changed: words.py.")
        assert runner.says("name 'oops' is not defined")
        (folder / "words.py").write_text("WORDS = 'second'\n")
        wait_for(lambda: runner.says("Ready."), 60)
        assert said(runner) == "second"
        with runner.client() as client:  # It was interrupted, and is no restartable one.
            thread = client.progress(running.id, "acme")
            assert (thread.status, thread.message) == ("failed", "Worker restarted")
        runner.process.terminate()
        assert runner.ended() == 0
    wait_for(runner.is_gone)
