"""`python3 -m image.base TREE`: a fresh copy of a Debian 13 root, from the cache if nothing has changed, and one line that
says so.

The cache's key is a hash of the package list, the suite, this module's text and the state of Debian's archive (the checksums
of its package indices): so a root is made again exactly when Debian published something. The root carries no name, resolver
or identity of the machine that builds.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from image.epoch import CHECKOUT, environment

SUITE = "trixie"
CACHE = Path("/var/cache/mudroom")
BOX_PACKAGES = CHECKOUT / "playbooks/roles/base/vars/main.yml"
ARCHIVES = (
    "http://deb.debian.org/debian/dists/trixie",
    "http://deb.debian.org/debian/dists/trixie-updates",
    "http://security.debian.org/debian-security/dists/trixie-security",
)  # apt checks the signatures; here only "has it changed?" is asked
LEFT_OUT = ("doc", "man", "locale", "info")
TRIXIE_RELEASED = 1_754_697_600  # 2025-08-09: the latest time that generated files of the root (the initramfs) may bear
KEPT = 3  # roots in the cache

INDEX = re.compile(r"^ ([0-9a-f]{64}) +\d+ main/binary-amd64/Packages$", re.MULTILINE)


@dataclass(frozen=True)
class Base:
    """A root in the cache, and whether it was there before."""

    path: Path
    note: str


def box_packages(path: Path = BOX_PACKAGES) -> list[str]:
    """The package list of the role base (`base_packages`), the image's own."""
    import yaml

    names = yaml.safe_load(path.read_text())["base_packages"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SystemExit(f"{path}: base_packages is not a list of package names")
    return names


def indices_of(release: str) -> list[str]:
    """The SHA-256 of the amd64 package index in the text of an InRelease file. Its date does not count: it changes without
    cause.
    """
    return INDEX.findall(release)


def archive_state() -> str | None:
    """One line that changes exactly when Debian's package indices do; None if the archive cannot be reached."""
    found: list[str] = []
    for place in ARCHIVES:
        try:
            with urllib.request.urlopen(f"{place}/InRelease", timeout=20) as answer:  # noqa: S310 - fixed addresses
                found += indices_of(answer.read().decode())
        except (OSError, urllib.error.URLError):
            return None
    return " ".join(found) or None


def key_of(packages: list[str], state: str) -> tuple[str, str]:
    """Two hashes: of what is asked for, and of that together with the archive's state."""
    asked = hashlib.sha256("\n".join([SUITE, *sorted(packages), Path(__file__).read_text()]).encode()).hexdigest()[:12]
    return asked, hashlib.sha256(f"{asked} {state}".encode()).hexdigest()[:8]


def cached(packages: list[str], cache: Path = CACHE) -> Base:
    """The root with `packages` in the cache; made now if there is none, or if Debian published something since."""
    cache.mkdir(parents=True, exist_ok=True)
    state = archive_state()
    asked, now = key_of(packages, state or "")
    if state is None:
        newest = max(cache.glob(f"base-{asked}-*"), key=lambda path: path.stat().st_mtime, default=None)
        if newest is None:
            raise SystemExit("base: Debian's archive cannot be reached, and the cache has no root with these packages")
        return Base(newest, "reused; Debian's archive cannot be reached, so it may be out of date")
    path = cache / f"base-{asked}-{now}"
    if path.is_dir():
        os.utime(path)
        return Base(path, "reused: packages and archive are unchanged")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="base-partial-", dir=cache) as partial:
        root = Path(partial) / "root"
        _bootstrap(packages, root)
        _forget_builder(root)
        root.rename(path)
    os.utime(path)
    _drop_old(cache)
    return Base(path, f"made in {time.monotonic() - begun:.0f} s")


def copy(base: Path, tree: Path) -> None:
    """Makes `tree` a copy of a root, with owners, links, capabilities and times. It must not exist."""
    if tree.exists():
        raise SystemExit(f"base: {tree} is there already; remove it first")
    tree.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(tree)], check=True)  # noqa: S603, S607 - fixed words


def _bootstrap(packages: list[str], root: Path) -> None:
    options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT]
    options += ["--dpkgopt=path-include=/usr/share/locale/locale.alias", "--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}", *options, SUITE, str(root)]
    subprocess.run(command, check=True, stdout=sys.stderr, env=environment(TRIXIE_RELEASED))  # noqa: S603 - arguments are ours


def _forget_builder(root: Path) -> None:
    root.chmod(0o755)
    for name in ("etc/resolv.conf", "etc/hostname"):  # mmdebstrap copies the host's
        (root / name).unlink(missing_ok=True)
    (root / "etc/hosts").write_text("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
    (root / "etc/machine-id").write_bytes(b"")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()


def _drop_old(cache: Path) -> None:
    roots = sorted(cache.glob("base-*-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in [path for path in roots if not path.name.startswith("base-partial")][KEPT:]:
        shutil.rmtree(path)


def main(arguments: list[str] | None = None) -> int:
    """The command; prints one line."""
    parser = argparse.ArgumentParser(prog="image.base", description="Makes TREE a fresh copy of the cached Debian 13 root.")
    parser.add_argument("tree", type=Path, metavar="TREE", help="a folder that does not exist yet")
    parser.add_argument(
        "--packages", metavar="A,B,…", help=f"instead of the list base_packages of {BOX_PACKAGES.relative_to(CHECKOUT)}"
    )
    chosen = parser.parse_args(arguments)
    packages = chosen.packages.split(",") if chosen.packages else box_packages()
    base = cached(packages)
    copy(base.path, chosen.tree)
    print(f"base: Debian root {base.path.name} {base.note}; copied to {chosen.tree}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
