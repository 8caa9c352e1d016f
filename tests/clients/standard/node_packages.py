"""The packages of node/package-lock.json, installed once into var/, and TypeScript programs that use them."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.checkout import ROOT
from tests.support.needs import leave_out_anywhere

HOME = Path(__file__).parent / "node"
SECONDS = 240.0


@dataclass(frozen=True)
class NodePackages:
    """A folder with `node_modules`."""

    folder: Path

    def copy(self, folder: Path) -> Path:
        """Return a new folder that sees the packages and has the programs."""
        folder.mkdir()
        for file in (*HOME.glob("*.ts"), *HOME.glob("*.mjs")):
            shutil.copy(file, folder)
        shutil.copy(HOME / "package.json", folder)
        (folder / "node_modules").symlink_to(self.folder / "node_modules")
        return folder

    def run(self, program: str, *arguments: str, folder: Path, **environment: str) -> str:
        """Run one of the packages' programs, or `node` itself, and return what it prints."""
        node = shutil.which("node") or "node"
        path = [] if program == "node" else [str(self.folder / "node_modules" / ".bin" / program)]
        done = subprocess.run(
            [node, *path, *arguments],
            cwd=folder,
            env={"PATH": str(Path(node).parent), "NODE_NO_WARNINGS": "1", **environment},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


def install() -> NodePackages:
    """Install the packages where they are not yet; the test is left out without Node.js, npm or the network."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        leave_out_anywhere("There is no Node.js with npm: install them to try the clients of npm.")
    lock = HOME / "package-lock.json"
    folder = ROOT / "var" / "node" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # The tests run in several processes.
        if not (folder / "installed").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HOME / name, folder)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
            done = subprocess.run(
                [*command, "--fetch-retries=1", "--fetch-timeout=30000"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            assert "EINTEGRITY" not in done.stderr, done.stderr
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["it gives no reason"])[0]
                leave_out_anywhere(f"The packages of npm cannot be installed: {reason}.")
            (folder / "installed").touch()
    return NodePackages(folder)
