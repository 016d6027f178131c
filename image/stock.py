"""`python3 -m image.stock --out FILE.img --key FILE.pub`: a stock Debian 13 disk, as a person's own machine would be.

The test of playbooks/site.yml provisions it, and benchmarks compare with it. Nothing of Mudroom is in it but the disk's layout
(fstab, growth). It has no password; root logs in by ssh with the one key that is given.
"""

import argparse
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from image import base
from image.base import TRIXIE_RELEASED
from image.disk import DiskError
from image.epoch import CHECKOUT
from image.layout import MIB
from image.pack import make_disk

PACKAGES = (
    "ca-certificates", "dbus", "e2fsprogs", "init", "initramfs-tools", "iproute2", "iputils-ping", "kmod", "less",
    "linux-image-amd64", "netbase", "openssh-server", "procps", "python3", "sudo", "systemd-repart",
    "systemd-resolved", "udev", "zstd",
)  # fmt: skip
NETWORK = "[Match]\nType=ether\n\n[Network]\nDHCP=yes\n"
LAYOUT_FILES = ("etc/fstab", "etc/repart.d/10-root.conf", "etc/systemd/system/sshd-keygen.service.d/every-boot.conf")
SERVICES = ("systemd-networkd.service", "systemd-resolved.service", "ssh.service")
OVERLAY = CHECKOUT / "image/overlay"


def furnish(tree: Path, public_key: str, name: str) -> None:
    """Gives a bare root a name, DHCP on every Ethernet port, and `public_key` (one authorized_keys line) for root."""
    for file in LAYOUT_FILES:
        target = tree / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(OVERLAY / file, target)
    (tree / "etc/hostname").write_text(f"{name}\n")
    (tree / "etc/hosts").write_text(f"127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n::1\tlocalhost\n")
    (tree / "etc/systemd/network/80-ether.network").write_text(NETWORK)
    (tree / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    folder = tree / "root/.ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "authorized_keys").write_text(public_key.strip() + "\n")
    (folder / "authorized_keys").chmod(0o600)
    subprocess.run(["systemctl", "--quiet", "--root", str(tree), "enable", *SERVICES], check=True)  # noqa: S603, S607


def main(arguments: list[str] | None = None) -> int:
    """The command; prints two lines."""
    parser = argparse.ArgumentParser(prog="image.stock", description="Makes a stock Debian 13 disk.")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.img")
    parser.add_argument("--key", type=Path, required=True, metavar="FILE.pub", help="the public key that may log in as root")
    parser.add_argument("--name", default="stock", help="its host name (default: %(default)s)")
    parser.add_argument("--size", type=int, default=3072, metavar="MIB", help="size of the root partition (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    found = base.cached(list(PACKAGES))
    print(f"stock: Debian root {found.path.name} {found.note}", flush=True)
    with TemporaryDirectory(prefix="stock-", dir=base.CACHE) as work:
        tree = Path(work) / "tree"
        base.copy(found.path, tree)
        furnish(tree, chosen.key.read_text(), chosen.name)
        try:
            make_disk(tree, chosen.out, TRIXIE_RELEASED, root_size=chosen.size * MIB, seed="stock")
        except DiskError as fault:
            print(f"stock: {fault}")
            return 1
    print(f"stock: {chosen.out} ({chosen.out.stat().st_size // MIB} MiB)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
