"""What the tests need of a machine besides Python, make and git: a browser, and a few programs.

`make browser` and `make test` run it. It imports the standard library only, and so needs no virtual environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
"""The browsers that the tests can use, in the order of preference."""
PROGRAMS = ("bash", "curl", "gcc", "unzip")
"""The other programs that some tests need."""
# Without any font, a page would be of empty boxes.
_PACKAGES = ("chromium", "fonts-dejavu-core")


class Missing(Exception):
    """The machine lacks something. The message is one sentence that says what to do."""


def find_browser(environ: Mapping[str, str] = os.environ) -> str:
    """Return the path of the browser that CHROMIUM names, or of the first that is installed. Raises Missing."""
    path = environ.get("PATH", "")
    if choice := environ.get("CHROMIUM", "").strip():
        if program := shutil.which(choice, path=path):
            return program
        raise Missing(f"CHROMIUM is '{choice}', but no program is there: name another, or unset it.")
    for name in BROWSERS:
        if program := shutil.which(name, path=path):
            return program
    raise Missing("There is no Chromium or Chrome: `make browser` installs one, or CHROMIUM names the one to use.")


def install_browser() -> None:
    """Install Chromium as a package of Debian or Ubuntu. Raises Missing where that fails."""
    if not shutil.which("apt-get") or not (os.geteuid() == 0 or shutil.which("sudo")):
        raise Missing("Chromium cannot be installed here by apt-get: install it yourself, or name one with CHROMIUM.")
    _say(f"There is no browser: installing {' and '.join(_PACKAGES)} with apt-get")
    # sudo asks for the password of a user who is not root.
    rights = [] if os.geteuid() == 0 else ["sudo"]
    apt_get = [*rights, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--quiet"]
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *_PACKAGES]):
        result = subprocess.run(
            [*apt_get, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if result.returncode:
            reason = (result.stdout.strip().splitlines() or ["it gives no reason"])[-1]
            raise Missing(f"Chromium cannot be installed, `apt-get {command[0]}` failed: {reason}")


def ensure_browser() -> str:
    """Return the path of the browser. Where none is installed and CHROMIUM names none, install one. Raises Missing."""
    if not os.environ.get("CHROMIUM", "").strip():
        try:
            return find_browser()
        except Missing:
            install_browser()
    return find_browser()


def find_program(name: str) -> str:
    """Return the path of a program. Raises Missing."""
    if program := shutil.which(name):
        return program
    raise Missing(f"There is no {name}: install it.")


def may_leave_out(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether tests may be left out for what is missing: not where CI is set."""
    return not environ.get("CI", "").strip()


def main(arguments: Sequence[str]) -> int:
    """Find or install a browser, and print which; return the exit code.

    With `--for-tests` say also which programs are missing, and succeed unless CI is set.
    """
    for_tests = "--for-tests" in arguments
    try:
        _say(f"The tests use {ensure_browser()}")
        reasons = []
    except Missing as error:
        reasons = [str(error)]
    if for_tests:
        for name in PROGRAMS:
            try:
                find_program(name)
            except Missing as error:
                reasons.append(str(error))
    is_allowed = for_tests and may_leave_out()
    for reason in reasons:
        if is_allowed:
            _say(f"Tests will be left out. {reason}")
        else:
            sys.stderr.write(f"{reason}\n")
    return 0 if is_allowed or not reasons else 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
