"""Run docs/deploying/containers.md, command by command, with podman: `python -m tools.contained`, as root.

Images, containers and networks are in a store of their own, which is removed at the end. Where no registry can be
reached, mmdebstrap makes the base image of Debian's packages, and Debian's Valkey stands in for the other one, under
the same names.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.support.checkout import ROOT
from tests.support.machine import Missing, find_program
from tools.deployed import commands, copy_checkout

PAGE: Final = ROOT / "docs" / "deploying" / "containers.md"
RECIPES: Final = ROOT / "deploy" / "container"
COMPOSE: Final = "podman-compose==1.6.0"
SUITE: Final = "trixie"
"""The Debian that the Containerfile begins with."""
_CERTIFICATES: Final = "/etc/pip-certificates.crt"  # not where Debian's package puts its own
_VALKEY: Final = """FROM {base}
RUN apt-get update && apt-get install --yes --no-install-recommends valkey-server
RUN install --directory --owner valkey --group valkey /data
USER valkey
"""


def image(recipe: Path, pattern: str) -> str:
    """Return the name of an image that a recipe takes from a registry."""
    name = re.search(pattern, recipe.read_text(), re.MULTILINE)
    if not name:
        raise Missing(f"{recipe} names no image.")
    return name[1]


def environment(folder: Path) -> dict[str, str]:
    """Return the environment in which podman keeps all that it has in the folder, and takes this machine's limits."""
    # Without the right to raise limits, podman's own would be refused.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limits = ["nproc=10000:10000", *([f"nofile={files}:{files}"] if files != resource.RLIM_INFINITY else [])]
    # pip in the build has what pip here has: a company's own index, and its certificates.
    said = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(said, stdout=subprocess.PIPE, text=True, check=True).stdout
    settings = dict(re.findall(r"^(?:global|:env:)\.([a-z-]+)='(.*)'$", lines, re.MULTILINE))
    volumes = [f"{folder}/pip.conf:/etc/pip.conf:ro"]
    if certificates := settings.get("cert"):
        volumes.append(f"{certificates}:{_CERTIFICATES}:ro")
        settings["cert"] = _CERTIFICATES
    kept = [f"{name} = {settings[name]}" for name in ("index-url", "cert", "trusted-host", "proxy") if name in settings]
    (folder / "pip.conf").write_text("\n".join(["[global]", *kept, ""]))
    runtime = "runc" if shutil.which("runc") else Path(find_program("crun")).name
    (folder / "containers.conf").write_text(
        # The build fetches packages as this machine does; the compose file has a network of its own.
        f'[containers]\nnetns = "host"\ndefault_ulimits = {json.dumps(limits)}\nvolumes = {json.dumps(volumes)}\n'
        f'[engine]\nruntime = "{runtime}"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        f'[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "{folder}/networks"\n'
    )
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/store"\nrunroot = "{folder}/run"\n'
    )
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", f"{folder}/compose", COMPOSE]
    subprocess.run(pip, check=True)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PSTHREADS_")},
        "PATH": f"{folder}/compose/bin:{os.environ['PATH']}",
        "PYTHONPATH": f"{folder}/compose",
        "CONTAINERS_CONF": f"{folder}/containers.conf",
        "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
    }


def have_images(folder: Path, base_file: Path | None, environ: dict[str, str]) -> None:
    """Pull the images of others, or make what stands in for them; print which."""
    base = image(RECIPES / "Containerfile", r"^ARG BASE=(\S+)")
    valkey = image(RECIPES / "compose.yaml", r"image: (\S+/valkey:\S+)")
    if not base_file and all(_podman(environ, "pull", "--quiet", name, check=False) == 0 for name in (base, valkey)):
        print(f"--- {base} and {valkey} as their registry has them", flush=True)
        return
    if not base_file:
        base_file = folder / "base.tar"
        subprocess.run([find_program("mmdebstrap"), "--variant=minbase", "--quiet", SUITE, base_file], check=True)
    _podman(environ, "import", "--quiet", str(base_file), base)
    (folder / "Valkey").write_text(_VALKEY.format(base=base))
    _podman(environ, "build", "--quiet", "-f", f"{folder}/Valkey", "-t", valkey, str(folder))
    print(f"--- {base} and {valkey} are made of Debian's packages: no registry has been asked or answered", flush=True)


def run(folder: Path, page: Path, environ: dict[str, str]) -> int:
    """Run the page's commands in a copy of the checkout; return the exit code of the first that failed, or 0."""
    checkout = folder / "checkout"
    copy_checkout(checkout)
    script = folder / "page.sh"
    script.write_text(commands(page))
    try:
        return subprocess.run([find_program("bash"), "-eux", script], cwd=checkout, env=environ, check=False).returncode
    finally:
        # Also what an interrupted page has left.
        for arguments in (("rm", "--all", "--force", "--time", "0"), ("volume", "prune", "--force")):
            _podman(environ, *arguments, check=False)


def _podman(environ: dict[str, str], *arguments: str, check: bool = True) -> int:
    return subprocess.run([find_program("podman"), *arguments], env=environ, check=check).returncode


def main() -> int:
    """Run the page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--base", type=Path, help="a tar file of a Debian for the base image, of mmdebstrap")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise Missing("Only root can keep images and networks apart from others': run it with sudo.")
    find_program("podman")
    folder = Path(tempfile.mkdtemp(prefix="psthreads-containers-"))
    try:
        environ = environment(folder)
        have_images(folder, options.base, environ)
        return run(folder, options.page, environ)
    finally:
        umount = [find_program("umount"), "--quiet", f"{folder}/store/overlay"]
        subprocess.run(umount, check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Missing as error:
        sys.exit(str(error))
