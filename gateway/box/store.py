"""The edge that keeps the settings: reads the owner's file, puts a decision into force, writes what the renderers made.

Everything is written whole or not at all (new file, fsync, rename, fsync of the folder), and only where it differs, so that
a boot without changes writes nothing to the disk. It must never decide what is right; ``settings.py`` does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.box import partition, ports, settings
from gateway.box.notices import Notice, encode
from gateway.box.ports import Port
from gateway.box.rendered import File, Link, Reload, Rendered
from gateway.box.settings import Candidate, Decision, Origin, SettingsError
from gateway.config import DEFAULT_PATH, Config, ConfigError, parse
from gateway.lasting import sync_folder

SHIPPED = Path("/usr/share/mudroom/mudroom.toml")
# Where no file was shipped: the first port is the WAN, the last one the trunk, what lies between them the LAN.
BUILT_IN = '[wan]\nport = "1"\n\n[lan]\nports = ["rest"]\n\n[dmz]\ntrunk = "last"\n'


@dataclass(frozen=True)
class Places:
    """Where everything lies; tests lay it elsewhere."""

    owner: Path = DEFAULT_PATH
    shipped: Path = SHIPPED
    state: Path = Path("/var/lib/mudroom")
    run: Path = Path("/run/mudroom")
    root: Path = Path("/")  # below which the renderers' files are put
    block: Path = partition.BLOCK  # where the kernel shows disks

    @property
    def in_force(self) -> Path:
        return self.state / "settings.toml"

    @property
    def last_good(self) -> Path:
        """The owner's text from which the settings in force were made."""
        return self.state / "settings.owner.toml"

    @property
    def ula(self) -> Path:
        return self.state / "box" / "ula"

    @property
    def ports(self) -> Path:
        """The hardware addresses of the ports that the box was set up with, in the order of their positions."""
        return self.state / "box" / "ports.json"

    @property
    def rendered(self) -> Path:
        """The list of the files that the last setup or apply wrote."""
        return self.state / "box" / "rendered.json"

    @property
    def notices(self) -> Path:
        return self.run / "box" / "notices.json"


@contextlib.contextmanager
def alone(places: Places) -> Iterator[None]:
    """Nobody else sets the box up meanwhile; waits for whoever does."""
    lock = places.run / "box" / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def candidates(places: Places) -> list[Candidate]:
    """The texts that may come into force, best first. One that is there and cannot be read is a candidate with a problem."""
    found = []
    for origin, file in ((Origin.OWNER, places.owner), (Origin.LAST_GOOD, places.last_good), (Origin.SHIPPED, places.shipped)):
        if file.exists():
            try:
                found.append(Candidate(origin, str(file), read_text(file)))
            except SettingsError as error:
                found.append(Candidate(origin, str(file), problem=error.problem))
        elif origin is Origin.SHIPPED:
            found.append(Candidate(origin, "the built-in settings", BUILT_IN))
    return found


def read_text(file: Path) -> str:
    """A settings file's text. Raises SettingsError where it is too large or no text."""
    try:
        with file.open("rb") as opened:
            data = opened.read(settings.SIZE_MOST + 1)
    except OSError as error:
        raise SettingsError(str(file), 0, "", f"cannot be read: {error.strerror}; see its permissions and the disk") from None
    return settings.decoded(data, str(file))


def config_in_force(places: Places) -> Config | None:
    """The settings that are in force now; None where there are none, or the file is damaged."""
    try:
        return parse(places.in_force.read_text(encoding="utf-8"), source=str(places.in_force))
    except (OSError, UnicodeDecodeError, ConfigError):
        return None


def own_ula(places: Places, make: bool = True) -> str:
    """The box's own IPv6 prefix: made at its first setup, then always the same. Empty on a box that was set up without one."""
    try:
        return places.ula.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        if places.in_force.exists() or not make:
            return ""
        made = settings.make_ula(secrets.token_bytes(5))
        write(places.ula, made + "\n")
        return made


def with_memory(places: Places, found: Sequence[Port]) -> list[Port]:
    """The ports at the positions that they had when the box was set up."""
    try:
        return ports.as_remembered(found, msgspec.json.decode(places.ports.read_bytes(), type=list[str]))
    except (FileNotFoundError, msgspec.MsgspecError):
        return list(found)


def remember(places: Places, decision: Decision) -> None:
    """Remember the ports' positions, where nothing that is still true is remembered."""
    assignment = decision.assignment
    if decision.config is not None and ports.managed(decision.config) and not assignment.remembered:
        write(places.ports, msgspec.json.encode([assignment.macs[name] for name in assignment.names]).decode() + "\n")


def put_in_force(places: Places, decision: Decision) -> bool:
    """Write the resolved settings, and the owner's text that they come from. Whether anything changed."""
    if decision.config is None:
        return False
    if decision.origin is Origin.OWNER:
        write(places.last_good, decision.text, mode=0o600)
    return write(places.in_force, settings.in_force(decision.config, decision.origin))


def difference(places: Places, rendered: Sequence[Rendered]) -> list[tuple[str, Reload]]:
    """The files that ``put`` would write or remove, and who must hear of each."""
    wanted = {item.path: item for item in rendered}
    changed = [(path, item.reload) for path, item in wanted.items() if not _is_as_wanted(_inside(places, path), item)]
    gone = [(path, reload) for path, reload in _written(places).items() if path not in wanted]
    return changed + [(path, reload) for path, reload in gone if os.path.lexists(_inside(places, path))]


def put(places: Places, rendered: Sequence[Rendered]) -> list[tuple[str, Reload]]:
    """Write the files that differ, remove those that were ours and are not wanted any more; as ``difference`` says."""
    steps = difference(places, rendered)
    wanted = {item.path: item for item in rendered}
    # The list first: were the power cut now, the next setup still knows every file that is ours.
    _note(places, {**_written(places), **{path: item.reload for path, item in wanted.items()}})
    for path, _ in steps:
        target = _inside(places, path)
        item = wanted.get(path)
        if item is None:
            target.unlink(missing_ok=True)
        elif isinstance(item, File):
            write(target, item.text, item.mode)
        else:
            _link(target, item)
    _note(places, {path: item.reload for path, item in wanted.items()})
    return steps


def write_notices(places: Places, notices: Iterable[Notice]) -> None:
    """Put the notices where doctor and console find them."""
    write(places.notices, encode(list(notices)))


def write(path: Path, text: str, mode: int = 0o644) -> bool:
    """Write ``text`` whole or not at all, and durably. Whether it differed from what was there."""
    data = text.encode()
    with contextlib.suppress(OSError):
        if not path.is_symlink() and path.read_bytes() == data and path.stat().st_mode & 0o7777 == mode:
            return False
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.new")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as opened:  # noqa: PTH123 - of a descriptor
        opened.write(data)
        opened.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    part.replace(path)
    sync_folder(path.parent)
    return True


def _link(path: Path, link: Link) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.new")
    part.unlink(missing_ok=True)
    part.symlink_to(link.target)
    part.replace(path)


def _is_as_wanted(path: Path, item: Rendered) -> bool:
    try:
        if isinstance(item, Link):
            return path.is_symlink() and str(path.readlink()) == item.target
        return not path.is_symlink() and path.read_bytes() == item.text.encode() and path.stat().st_mode & 0o7777 == item.mode
    except OSError:
        return False


def _inside(places: Places, path: str) -> Path:
    return places.root / path.lstrip("/")


def _written(places: Places) -> dict[str, Reload]:
    try:
        return msgspec.json.decode(places.rendered.read_bytes(), type=dict[str, Reload])
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}


def _note(places: Places, files: dict[str, Reload]) -> None:
    write(places.rendered, msgspec.json.format(msgspec.json.encode(dict(sorted(files.items())))).decode() + "\n")
