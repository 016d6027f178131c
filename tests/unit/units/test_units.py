"""What every unit must have, read from the files alone: this runs anywhere."""

from __future__ import annotations

import re

import pytest

from gateway import service
from gateway.box import notice_timer
from gateway.network.plan import PRIORITY_BLACKHOLE
from tests.unit.units.reading import EVERYTHING, FILES, SERVICES, SOCKETS, UNITS, Unit, read, seconds

BY_TIMER = {"mudroom-clock-keep.service", "mudroom-anchor.service", "mudroom-notices.service", "mudroom-telling.service"}
ONE_SHOT = BY_TIMER | {"mudroom-closed.service", "mudroom-setup.service", "mudroom-network.service", "mudroom-clock.service"}
DAEMONS = set(SERVICES) - ONE_SHOT
DNSMASQ = {"mudroom-dhcp.service", "mudroom-lan.service"}
# Root, and why: see the comment in each
ROOT = ONE_SHOT - {"mudroom-telling.service"} | {
    "mudroom-steering.service",
    "mudroom-steward.service",
    "mudroom-console@.service",
}
ON_DEMAND = {"mudroom-steward.service"}  # by its socket; ends by itself
ALONE = {f"mudroom-{name}.service" for name in ("door@", "names", "enrolment", "signer", "ledger", "steward", "notices")}
EVERY_FENCE = {
    "NoNewPrivileges": "yes", "LockPersonality": "yes", "RestrictRealtime": "yes", "RestrictSUIDSGID": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes", "ProtectClock": "yes", "ProtectHostname": "yes", "ProtectControlGroups": "yes",
    "ProtectKernelLogs": "yes",
    "PrivateIPC": "yes", "SystemCallArchitectures": "native", "LimitCORE": "0", "KeyringMode": "private", "RemoveIPC": "yes",
}  # fmt: skip

every_service = pytest.mark.parametrize("name", SERVICES)


def test_the_units_are_those_that_everybody_counts_on() -> None:
    assert set(SERVICES) == {
        f"mudroom-{name}.service"
        for name in (
            "closed", "setup", "network", "clock", "clock-keep", "anchor", "steering", "signer", "ledger", "courier", "names",
            "door@", "enrolment", "dhcp", "lan", "web", "steward", "console@", "notices", "telling",
        )
    }  # fmt: skip
    assert set(SOCKETS) == {f"mudroom-{name}.socket" for name in ("signer", "ledger", "courier", "steward")}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - BY_TIMER))
def test_a_service_comes_back_for_ever_with_growing_pauses(name: str) -> None:
    unit = SERVICES[name]
    assert unit.last("Unit", "StartLimitIntervalSec") == "0"
    assert unit.last("Service", "Restart") == ("on-failure" if name in ONE_SHOT | ON_DEMAND else "always")
    assert seconds(unit.last("Service", "RestartSec")) < seconds(unit.last("Service", "RestartMaxDelaySec"))
    assert int(unit.last("Service", "RestartSteps")) > 1


@pytest.mark.parametrize("name", sorted(DAEMONS - DNSMASQ))
def test_a_daemon_is_watched(name: str) -> None:
    unit = SERVICES[name]
    assert unit.last("Service", "Type") == "notify"
    most = 180 if name == "mudroom-console@.service" else 60  # one drawing of the console may take a minute
    assert 5 <= seconds(unit.last("Service", "WatchdogSec")) <= most


@every_service
def test_a_service_has_bounds(name: str) -> None:
    unit = SERVICES[name]
    high, most = (int(unit.last("Service", setting).removesuffix("M")) for setting in ("MemoryHigh", "MemoryMax"))
    assert high < most <= 640
    assert int(unit.last("Service", "TasksMax")) <= 64
    assert int(unit.last("Service", "LimitNOFILE")) <= 8192
    assert unit.last("Service", "OOMScoreAdjust")


@every_service
def test_a_service_stands_in_its_fence(name: str) -> None:
    unit = SERVICES[name]
    allowed = {"ProtectHostname": "no"} if name == "mudroom-setup.service" else {}  # it names the box
    assert {setting: unit.last("Service", setting) for setting in EVERY_FENCE} == EVERY_FENCE | allowed
    filters = unit.all("Service", "SystemCallFilter")
    assert filters[0].startswith("@system-service")
    denied = " ".join(each for each in filters if each.startswith("~"))
    assert {"@resources", "@keyring", "io_uring_setup", "memfd_create"} <= set(denied.removeprefix("~").split())
    assert unit.all("Service", "CapabilityBoundingSet")
    assert "-/var/lib/mudroom/signer" in unit.words("Service", "InaccessiblePaths") or name in (
        "mudroom-signer.service",
        "mudroom-closed.service",
    )
    # The one exception is explained in its file.
    assert unit.last("Service", "MemoryDenyWriteExecute") == ("no" if name == "mudroom-door@.service" else "yes")


@every_service
def test_only_what_must_is_root(name: str) -> None:
    user = SERVICES[name].last("Service", "User")
    if name in ROOT:
        assert not user
    else:
        role = re.sub(r"mudroom-(\w+)@?\.service", r"\1", name)
        assert user == f"mudroom-{role}"
        if name not in DNSMASQ:
            powers = "CAP_NET_BIND_SERVICE" if name == "mudroom-web.service" else ""  # port 443
            assert SERVICES[name].all("Service", "CapabilityBoundingSet") == [powers]
            groups = [] if name == "mudroom-telling.service" else [service.GROUP]  # the owner's program needs no socket of ours
            assert SERVICES[name].all("Service", "SupplementaryGroups") == groups


@pytest.mark.parametrize("name", sorted(ALONE))
def test_who_needs_no_network_has_none(name: str) -> None:
    unit = SERVICES[name]
    assert unit.last("Service", "PrivateNetwork") == "yes"
    assert unit.last("Service", "RestrictAddressFamilies") == "AF_UNIX"
    assert unit.last("Service", "IPAddressDeny") == "any"
    if name in ("mudroom-door@.service", "mudroom-names.service", "mudroom-enrolment.service"):
        assert (unit.last("Service", "PrivateUsers"), unit.last("Service", "PrivatePIDs")) == ("yes", "yes")
    assert unit.last("Service", "NoExecPaths").split() == ["/", "/tmp", "/var/tmp", "/dev/shm"]


def test_steering_filters_no_addresses() -> None:
    """The door's connections are counted to the unit that made their listener."""
    unit = SERVICES["mudroom-steering.service"]
    assert not unit.all("Service", "IPAddressDeny")
    assert not unit.all("Service", "RestrictNetworkInterfaces")


@pytest.mark.parametrize("name", EVERYTHING)
def test_nothing_removes_the_guards(name: str) -> None:
    unit = EVERYTHING[name]
    for setting in ("ExecStop", "ExecStopPost"):
        assert not unit.all("Service", setting), "what stops a unit leaves the guards as they are"
    commands = [line for setting in ("ExecStart", "ExecStartPre", "ExecReload") for line in unit.all("Service", setting)]
    assert not [line for line in commands if re.search(r"network down|flush|rule del|delete table", line)]


@pytest.mark.parametrize("name", EVERYTHING)
def test_no_secret_and_no_shell_string_in_a_unit(name: str) -> None:
    for section in EVERYTHING[name].values():
        for line in (*section.get("ExecStart", []), *section.get("ExecStartPre", []), *section.get("ExecReload", [])):
            assert not re.search(r"\bsh -c\b|[;&|<>]", line)
        for line in section.get("Environment", []):
            assert not re.search(r"(?i)pass|secret|token|key", line)


def test_the_guards_come_before_every_network() -> None:
    closed = SERVICES["mudroom-closed.service"]
    assert closed.last("Unit", "DefaultDependencies") == "no", "else it is stopped at shutdown, and waits for what may break"
    assert {"network-pre.target", "systemd-networkd.service"} <= set(closed.words("Unit", "Before"))
    assert closed.last("Unit", "RefuseManualStop") == "yes"
    assert closed.last("Unit", "IgnoreOnIsolate") == "yes"
    assert not closed.words("Unit", "After"), "nothing may hold it up"
    assert not closed.words("Unit", "Conflicts"), "and nothing end it, shutdown neither"
    assert closed.last("Service", "RemainAfterExit") == "yes"
    assert closed.last("Service", "RestartMode") == "direct"
    for name in ("systemd-networkd.service", "networking.service", "NetworkManager.service", "ifup@.service"):
        unit = EVERYTHING[f"{name}.d/mudroom.conf"]
        assert "mudroom-closed.service" in unit.words("Unit", "Requires")
        assert "mudroom-closed.service" in unit.words("Unit", "After")
    for name, unit in SERVICES.items():
        if name not in ("mudroom-closed.service", "mudroom-clock.service", "mudroom-console@.service", *BY_TIMER):
            assert "mudroom-closed.service" in unit.words("Unit", "Requires"), name
            assert "mudroom-closed.service" in unit.words("Unit", "After"), name


def test_what_closes_needs_no_python() -> None:
    assert SERVICES["mudroom-closed.service"].all("Service", "ExecStart") == ["/usr/lib/mudroom/close"]
    script = (FILES / "closed" / "close").read_text()
    assert "python" not in "".join(line for line in script.lower().splitlines() if not line.startswith("#"))
    assert f"priority {PRIORITY_BLACKHOLE} iif dmz0 blackhole" in script
    assert (FILES / "closed" / "close").stat().st_mode & 0o111


def test_the_registry_is_never_bound_as_a_file() -> None:
    """It is replaced by rename(2): a bind mount would go on showing the old one, and a revocation would not be seen."""
    for name, unit in SERVICES.items():
        for setting in ("BindPaths", "BindReadOnlyPaths"):
            assert not [path for path in unit.words("Service", setting) if "/var/lib/mudroom" in path], name


@pytest.mark.parametrize("name", SOCKETS)
def test_our_sockets_are_for_our_processes(name: str) -> None:
    role = name.removeprefix("mudroom-").removesuffix(".socket")
    unit: Unit = SOCKETS[name]
    assert unit.all("Socket", "ListenStream") == [f"/run/mudroom/{role}/socket"]
    # the steward is root's, and nobody but the pages may so much as connect
    owner, group = ("root", "mudroom-web") if role == "steward" else (f"mudroom-{role}", service.GROUP)
    assert unit.last("Socket", "SocketUser") == owner
    assert unit.last("Socket", "SocketGroup") == group
    assert unit.last("Socket", "SocketMode") == "0660"
    assert name in SERVICES[f"mudroom-{role}.service"].words("Unit", "Requires")


def test_no_listener_of_a_device_is_inherited() -> None:
    """docs/architecture.md, "Listeners are handed over": a dead worker's queue must not stay open."""
    for name, unit in SOCKETS.items():
        settings = set(unit["Socket"])
        assert not settings & {"ListenDatagram", "Transparent", "BindToDevice"}, name
        assert all(path.startswith("/run/") for path in unit.all("Socket", "ListenStream")), name
    assert not {"mudroom-door@.socket", "mudroom-names.socket", "mudroom-steering.socket"} & {
        path.name for path in UNITS.iterdir()
    }


def test_ready_means_that_every_part_is() -> None:
    target = read(UNITS / "mudroom.target")
    wanted = {name for name in target.words("Unit", "Wants") if name.endswith(".service")}
    parts = {name for name in SERVICES if "@" not in name and name not in {"mudroom-closed.service", *BY_TIMER, *ON_DEMAND}}
    assert wanted == parts | {"mudroom-door@0.service", "mudroom-door@1.service"}
    assert wanted <= set(target.words("Unit", "After"))
    assert target.last("Unit", "DefaultDependencies") == "no", "else multi-user.target, so ssh and the console, would wait for it"


def test_the_users_are_those_that_the_firewall_knows() -> None:
    lines = [line.split() for line in (FILES / "sysusers" / "mudroom.conf").read_text().splitlines() if line and line[0] != "#"]
    ids = {name: int(number) for kind, name, number, *_ in (line for line in lines if line[0] in "ug") if kind == "u"}
    assert set(service.USERS.values()) <= set(ids)
    assert sorted(ids.values()) == list(range(951, 951 + len(ids)))
    assert ["g", service.GROUP, "950"] in lines
    assert ids.pop(service.TELLING_USER) == service.TELLING_UID
    assert {line[1] for line in lines if line[0] == "m"} == set(ids), "all but the one that runs the owner's program"
    closed = (FILES / "closed" / "closed.nft").read_text()
    assert f"meta skuid 951-{service.TELLING_UID} counter drop" in closed


def test_every_folder_that_a_unit_writes_is_made_before() -> None:
    made = {line.split()[1] for line in (FILES / "tmpfiles" / "mudroom.conf").read_text().splitlines() if line.startswith("d ")}
    for name, unit in SERVICES.items():
        for path in unit.words("Service", "ReadWritePaths"):
            assert not path.startswith(("/run/mudroom/", "/var/lib/mudroom/")) or path in made, name
        assert not unit.all("Service", "RuntimeDirectory"), "it vanishes at every stop, and with it what others see through it"


def test_notices_are_told_by_who_reads_nothing_and_gathered_by_who_reaches_nobody() -> None:
    """And neither runs where the settings tell nobody."""
    gathers, tells = SERVICES["mudroom-notices.service"], SERVICES["mudroom-telling.service"]
    assert gathers.all("Unit", "ConditionPathExists") == [notice_timer.WANTED]
    assert gathers.last("Unit", "OnSuccess") == "mudroom-telling.service"
    timer = read(UNITS / "mudroom-notices.timer")
    assert not timer.all("Timer", "Unit"), "it starts the one of its own name"
    assert "mudroom-notices.timer" in read(UNITS / "mudroom.target").words("Unit", "Wants")
    hidden = set(tells.words("Service", "InaccessiblePaths"))
    assert {"-/var/lib/mudroom/ledger", "-/var/lib/mudroom/box"} <= hidden, (
        "the registry is for the group mudroom, which it is not in"
    )
    assert tells.words("Service", "BindReadOnlyPaths") == ["/run/mudroom/telling"]
    assert tells.all("Service", "CapabilityBoundingSet") == [""]


def test_the_log_is_bounded() -> None:
    settings = read(FILES / "journald" / "mudroom.conf")["Journal"]
    assert {"SystemMaxUse", "SystemKeepFree", "RuntimeMaxUse", "MaxRetentionSec", "SyncIntervalSec"} <= set(settings)


def test_nobody_may_send_frames_past_the_firewall() -> None:
    """What goes out by a packet socket meets no nftables rule of the output chain; dnsmasq leases and advertises without one."""
    for name, unit in EVERYTHING.items():
        if name.startswith("mudroom-") and name.endswith(".service"):
            assert not any("AF_PACKET" in words.split() for words in unit.all("Service", "RestrictAddressFamilies")), name
