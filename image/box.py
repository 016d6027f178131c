"""`python3 -m image.box --root TREE --out mudroom.box`: the image as a Vagrant box for libvirt, to try it in virtual machines.

A box needs a way in, so this one packs a COPY of the tree with the user vagrant, Vagrant's well-known key, sudo, and ssh open to
libvirt's network. The flashed image has none of that: TREE itself is never changed here, and no role knows of Vagrant.
"""

import argparse
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from image import base, sums
from image.disk import DiskError
from image.epoch import build_time, environment
from image.layout import MIB
from image.pack import make_disk

OVERLAY = Path(__file__).resolve().parent / "box-overlay"
SETTINGS = "etc/mudroom/mudroom.toml"
LIBVIRT_NETWORK = "192.168.121.0/24"  # vagrant-libvirt's management network, the router's WAN
VIRTUAL_GIB = 8  # the root grows to it at first boot
USER, USER_ID = "vagrant", 1000
MODES = {"etc/sudoers.d/vagrant": 0o440, "home/vagrant/.ssh": 0o700, "home/vagrant/.ssh/authorized_keys": 0o600}
DESCRIPTION = (
    "Mudroom for trying in virtual machines. NOT the image that is flashed: this box has the user vagrant with a key that "
    "everybody knows, and lets ssh in from libvirt's network. Never use it as a router."
)
VAGRANTFILE = """\
# The box's own defaults; a Vagrantfile may override them.
# This box is for trying: it has a key that everybody knows. Never use it as a router.
Vagrant.configure("2") do |config|
  config.ssh.insert_key = false
  config.vm.provider :libvirt do |libvirt|
    libvirt.disk_bus = "virtio"
    libvirt.memory = 1536
    libvirt.cpus = 2
  end
end
"""


def opened_settings(text: str, network: str = LIBVIRT_NETWORK) -> str:
    """The box's settings with ssh open from `network` on the WAN side. Raises ValueError if they open it to something already."""
    if tomllib.loads(text).get("firewall", {}).get("ssh_from_wan"):
        raise ValueError(f"{SETTINGS} of the image opens ssh to the WAN; an image must not")
    wanted = f'ssh_from_wan = ["{network}"] # the box for trying only: Vagrant comes in here'
    lines = text.splitlines()
    header = next((at for at, line in enumerate(lines) if line.split("#")[0].strip() == "[firewall]"), None)
    if header is None:
        lines += ["", "[firewall]", wanted]
    else:
        end = next((at for at in range(header + 1, len(lines)) if lines[at].startswith("[")), len(lines))
        kept = [line for line in lines[header + 1 : end] if not line.replace(" ", "").startswith("ssh_from_wan=")]
        lines[header + 1 : end] = [wanted, *kept]
    made = "\n".join(lines) + "\n"
    if tomllib.loads(made)["firewall"]["ssh_from_wan"] != [network]:
        raise ValueError(f"{SETTINGS} could not be changed safely")
    return made


def open_for_vagrant(tree: Path, sudo: Path) -> None:
    """Gives a copy of the image what Vagrant needs; `sudo` is Debian's package file."""
    surroundings = environment(build_time()) | {"DEBIAN_FRONTEND": "noninteractive"}
    if not (tree / "usr/bin/sudo").exists():
        _run(["dpkg", f"--root={tree}", "--force-confold", "--install", str(sudo)], surroundings)
    command = ["useradd", "--root", str(tree), "--uid", str(USER_ID), "--user-group", "--no-create-home"]
    _run([*command, "--home-dir", f"/home/{USER}", "--shell", "/bin/bash", "--password", "*", USER], surroundings)
    home = tree / "home" / USER
    if (tree / "etc/skel").is_dir():
        shutil.copytree(tree / "etc/skel", home, dirs_exist_ok=True)
    shutil.copytree(OVERLAY, tree, dirs_exist_ok=True, copy_function=shutil.copyfile)
    for name, mode in MODES.items():
        (tree / name).chmod(mode)
    for path in (home, *home.rglob("*")):
        os.chown(path, USER_ID, USER_ID, follow_symlinks=False)
    settings = tree / SETTINGS
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(opened_settings(settings.read_text() if settings.exists() else ""))


def sudo_package(cache: Path = base.CACHE) -> Path:
    """Debian's sudo as a file in the cache; fetched (and checked by apt) if the archive has a newer one."""
    folder = cache / "box"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    surroundings = environment(0)
    if subprocess.run(["apt-get", "-q=2", "update"], check=False, env=surroundings).returncode == 0:  # noqa: S607
        command = ["apt-get", "-q=2", "-o", "APT::Sandbox::User=root", "download", "sudo"]
        subprocess.run(command, check=True, cwd=folder, env=surroundings)  # noqa: S603 - fixed words
    found = max(folder.glob("sudo_*.deb"), key=lambda path: path.stat().st_mtime, default=None)
    if found is None:
        raise SystemExit("box: Debian's archive cannot be reached, and the package sudo is not in the cache")
    return found


def write_box(disk: Path, target: Path, moment: int) -> None:
    """Packs a qcow2 disk as a box (a gzipped tar of metadata.json, Vagrantfile, README and box.img); same inputs, same bytes."""
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": VIRTUAL_GIB, "description": DESCRIPTION}
    texts = {
        "./metadata.json": json.dumps(metadata, indent=1) + "\n",
        "./Vagrantfile": VAGRANTFILE,
        "./README": DESCRIPTION + "\n",
    }
    target.unlink(missing_ok=True)
    # box.img is compressed already: level 1 only wraps it.
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, text in texts.items():
            archive.addfile(_member(name, len(text.encode()), moment), io.BytesIO(text.encode()))
        with disk.open("rb") as source:
            archive.addfile(_member("./box.img", disk.stat().st_size, moment), source)


def _member(name: str, size: int, moment: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, moment, 0o644
    return member


def _run(command: list[str], surroundings: dict[str, str]) -> None:
    subprocess.run(command, check=True, env=surroundings, stdout=sys.stderr)  # noqa: S603 - arguments are ours


def main(arguments: list[str] | None = None) -> int:
    """The command; prints one line."""
    parser = argparse.ArgumentParser(prog="image.box", description="Packs a root tree as a Vagrant box for libvirt.")
    parser.add_argument(
        "--root", type=Path, required=True, metavar="TREE", help="the image's root tree; it is copied, not changed"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.box")
    chosen = parser.parse_args(arguments)
    moment = build_time()
    out: Path = chosen.out
    out.parent.mkdir(parents=True, exist_ok=True)
    sudo = sudo_package()
    with TemporaryDirectory(prefix="box-", dir=base.CACHE) as name:
        work = Path(name)
        base.copy(chosen.root, work / "tree")
        open_for_vagrant(work / "tree", sudo)
        try:
            make_disk(work / "tree", work / "disk.img", moment, seed=out.stem + "-box")
        except DiskError as fault:
            print(f"box: {fault}", file=sys.stderr)
            return 1
        convert = ["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd"]
        _run([*convert, str(work / "disk.img"), str(work / "box.img")], environment(moment))
        _run(["qemu-img", "resize", "-q", str(work / "box.img"), f"{VIRTUAL_GIB}G"], environment(moment))
        write_box(work / "box.img", out, moment)
    sums.record(out)
    print(f"box: {out} ({out.stat().st_size // MIB} MiB), for trying only: anyone on libvirt's network can log in")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
