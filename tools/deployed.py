"""Run a page of docs/deploying/ on a new Debian with systemd: `python -m tools.deployed`, as root.

The page's commands run one after the other, as a service of a machine in a container of systemd-nspawn, without a
network. Before that, mmdebstrap makes the machine of Debian's packages, and pip downloads the locked Python packages.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from packaging.markers import Marker

from tests.support.checkout import ROOT
from tests.support.machine import Missing, find_program

PAGE: Final = ROOT / "docs" / "deploying" / "systemd.md"
PACKAGES: Final = "systemd,systemd-sysv,dbus,python3,python3-venv,redis-server,nginx-light,openssl,curl,ca-certificates"
SECONDS: Final = 600
_BLOCK: Final = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
_UNIT: Final = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
WorkingDirectory=/srv/try/checkout
StandardOutput=file:/srv/try/log
StandardError=inherit
ExecStart=/bin/sh -c 'bash -eux /srv/try/page.sh; echo $? > /srv/try/status; \
    journalctl --unit "psthreads-*" --no-pager > /srv/try/journal; systemctl --no-block poweroff'
[Install]
WantedBy=multi-user.target
"""


def commands(page: Path) -> str:
    """Return the page's commands, without the installation of Debian's packages, which the machine has already."""
    lines = "".join(_BLOCK.findall(page.read_text())).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("apt-get install"))


def copy_checkout(folder: Path) -> None:
    """Copy what a new checkout has into a folder that does not exist yet."""
    made = (".git", ".venv", "var", "build", "node_modules", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, folder, symlinks=True, ignore=shutil.ignore_patterns(*made))


def make_machine(machine: Path, suite: str) -> None:
    """Make a Debian with systemd and what the page installs."""
    subprocess.run([find_program("mmdebstrap"), "--variant=apt", f"--include={PACKAGES}", suite, machine], check=True)


def locked_for(machine: Path) -> str:
    """Return the lock file's packages for the machine's Python, which may be another one than this."""
    code = "import platform; print(platform.python_version())"
    shown = subprocess.run(["chroot", machine, "python3", "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    full = shown.stdout.strip()
    environment = {"python_full_version": full, "python_version": full.rpartition(".")[0]}
    entries = re.split(r"\n(?=[a-z])", (ROOT / "requirements.lock").read_text())
    kept = []
    for entry in entries:
        name, _, marker = entry.partition("\n")[0].rstrip("\\ ").partition(" ; ")
        if not marker or Marker(marker).evaluate(environment):
            kept.append(entry.replace(f"{name} ; {marker}", name))
    return "\n".join(kept)


def put_in(machine: Path, script: str) -> None:
    """Put the checkout and the locked packages into the machine, and the script to run."""
    place = machine / "srv" / "try"
    copy_checkout(place / "checkout")
    (place / "own.lock").write_text(locked_for(machine))
    own_lock = ["--require-hashes", "-r", str(place / "own.lock")]
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "download", "--no-deps", "--dest", place / "wheels", *own_lock], check=True)
    (place / "page.sh").write_text(script)
    (machine / "etc" / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /srv/try/wheels\n")
    units = machine / "etc" / "systemd" / "system"
    (units / "page.service").write_text(_UNIT)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants" / "page.service").unlink(missing_ok=True)
    (units / "multi-user.target.wants" / "page.service").symlink_to("../page.service")


def run(machine: Path) -> int:
    """Start the machine, print what the commands wrote, and return the exit code of the first that failed, or 0."""
    nspawn = [find_program("systemd-nspawn"), "--register=no", "--keep-unit", "--private-network", "--boot"]
    subprocess.run([*nspawn, "--console=pipe", "-D", machine], stdin=subprocess.DEVNULL, check=False, timeout=SECONDS)
    place = machine / "srv" / "try"
    status = (place / "status").read_text().strip()
    sys.stdout.write((place / "log").read_text())
    if status != "0":
        sys.stdout.write(f"--- journal\n{(place / 'journal').read_text()}--- failed with {status}\n")
    return int(status)


def main() -> int:
    """Run the page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--machine", type=Path, help="a folder with a new machine of an earlier run, or for one")
    parser.add_argument("--suite", default="bookworm")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise Missing("Only root can start a machine: run it with sudo.")
    with tempfile.TemporaryDirectory(prefix="psthreads-machine-") as folder:
        new, machine = options.machine or Path(folder) / "new", Path(folder) / "machine"
        if not (new / "etc" / "debian_version").exists():
            make_machine(new, options.suite)
        subprocess.run(["cp", "--archive", "--reflink=auto", new, machine], check=True)
        put_in(machine, commands(options.page))
        return run(machine)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Missing as error:
        sys.exit(str(error))
