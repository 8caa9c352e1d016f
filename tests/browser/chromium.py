"""The Chromium that the tests look through: found where it is installed, and installed by `make browser`.

Of the standard library only, so that it runs before there is a virtual environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
"""The programs that will do, most wanted first."""
# Without any font, a page would be of empty boxes.
PACKAGES = ("chromium", "fonts-dejavu-core")


class NoBrowser(Exception):
    """There is no browser; the message is one sentence that says what to do."""


def find(environ: Mapping[str, str] = os.environ) -> str:
    """The path of the browser that CHROMIUM names, or of the first that is installed; raises NoBrowser."""
    path = environ.get("PATH", "")
    if given := environ.get("CHROMIUM", "").strip():
        if found := shutil.which(given, path=path):
            return found
        raise NoBrowser(f"CHROMIUM is '{given}', but no program is there: name another, or unset it.")
    for name in NAMES:
        if found := shutil.which(name, path=path):
            return found
    raise NoBrowser("There is no Chromium or Chrome: `make browser` installs one, or CHROMIUM names the one to use.")


def install() -> None:
    """Install Chromium as a package of Debian or Ubuntu; raises NoBrowser where that cannot be done."""
    if not shutil.which("apt-get") or not (os.geteuid() == 0 or shutil.which("sudo")):
        raise NoBrowser("Chromium cannot be installed here by apt-get: install it yourself, or name one with CHROMIUM.")
    # Whoever is not root is asked by sudo.
    rights = [] if os.geteuid() == 0 else ["sudo"]
    apt_get = [*rights, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--quiet"]
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            [*apt_get, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            reason = (done.stdout.strip().splitlines() or ["it gives no reason"])[-1]
            raise NoBrowser(f"Chromium cannot be installed, `apt-get {command[0]}` failed: {reason}")


def ensure() -> str:
    """What `find` gives, after an install where nothing is found and CHROMIUM names nothing."""
    if not os.environ.get("CHROMIUM", "").strip():
        try:
            return find()
        except NoBrowser:
            sys.stdout.write(f"No browser is found: installing {' and '.join(PACKAGES)} with apt-get\n")
            sys.stdout.flush()
            install()
    return find()


def main() -> int:
    """Say which browser the tests use; returns the exit code."""
    try:
        sys.stdout.write(f"The tests use {ensure()}\n")
    except NoBrowser as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
