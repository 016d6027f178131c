"""sshd's settings, as the real sshd reads them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gateway.box import sshd
from gateway.box.ports import Assignment
from gateway.config import Box, Config, Firewall

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB me@laptop"


def effective(config: Config, folder: Path) -> list[str]:
    """What sshd makes of the file as the first of its settings, with Debian's own after it; lower case."""
    rendered, key, main = folder / "rendered.conf", folder / "key", folder / "sshd_config"
    rendered.write_text(sshd.text(config))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    # what an installer or the stock file may say comes second and loses
    others = ("PasswordAuthentication yes", "PermitRootLogin yes", "X11Forwarding yes", "KbdInteractiveAuthentication yes")
    main.write_text("\n".join([f"Include {rendered}", *others, ""]))
    Path("/run/sshd").mkdir(exist_ok=True)
    done = subprocess.run(["/usr/sbin/sshd", "-T", "-f", str(main), "-h", str(key)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.lower().splitlines()


def test_keys_only_and_no_forwarding_whatever_else_is_set(tmp_path: Path) -> None:
    found = effective(Config(), tmp_path)
    for line in (
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "permitrootlogin without-password",
        "permitemptypasswords no",
        "disableforwarding yes",
        "permittunnel no",
        "authorizedkeysfile .ssh/authorized_keys /run/mudroom/box/ssh-keys/%u",
    ):
        assert line in found


def listening(lines: list[str]) -> set[str]:
    return {line.split()[1] for line in lines if line.startswith("listenaddress")}


def test_it_listens_in_the_lan_alone_unless_the_wan_may(tmp_path: Path) -> None:
    assert listening(effective(Config(), tmp_path)) == {"192.168.77.1:22", "[fd4d:7564:726d:1::1]:22"}
    (tmp_path / "wan").mkdir()
    wan = Config(firewall=Firewall(ssh_from_wan=("203.0.113.0/24",)))
    assert listening(effective(wan, tmp_path / "wan")) == {"0.0.0.0:22", "[::]:22"}


@pytest.mark.parametrize("keys", [(), (KEY,), (KEY, KEY.replace("me@laptop", "me@desk"))])
def test_the_owners_keys_are_roots_and_nobody_elses(keys: tuple[str, ...]) -> None:
    _, file = sshd.render(Config(box=Box(ssh_keys=keys)), Assignment())
    assert file.path == "/run/mudroom/box/ssh-keys/root"
    assert tuple(line for line in file.text.splitlines() if not line.startswith("#")) == keys
