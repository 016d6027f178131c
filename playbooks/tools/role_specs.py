#!/usr/bin/env python3
"""Write what a role takes, from the one place that knows it: gateway/config.py for the box's settings, this file for the rest.

    role_specs.py [--check]

makes meta/argument_specs.yml and README.md of every role; with --check it only says (exit code 1) which of them differ. A
setting is declared once, so the roles cannot promise one that the box does not know.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))

from gateway import config  # noqa: E402 - the checkout's own package, wherever this is called from

ROLES = CHECKOUT / "playbooks" / "roles"
MADE = "made by playbooks/tools/role_specs.py"
IN_IMAGE = {"type": "bool", "default": False, "description": "Whether the machine is the image being built (image.yml sets it)."}

# Role: what it is for, in a sentence; the tables of mudroom.toml that it takes; its own variables.
PURPOSES: dict[str, tuple[str, tuple[str, ...], dict[str, dict[str, Any]]]] = {
    "base": (
        "Debian as the box needs it: packages without recommended ones, name, time zone, and in the image disk and initramfs.",
        ("box",),
        {
            "base_mirror": {
                "type": "str",
                "default": "http://deb.debian.org/debian",
                "description": "Debian's archive, or a mirror of it.",
            },
            "base_security_mirror": {
                "type": "str",
                "default": "http://deb.debian.org/debian-security",
                "description": "The archive of security updates; empty leaves it and trixie-updates out (tests).",
            },
            "base_mirror_trusted": {
                "type": "bool",
                "default": False,
                "description": "Take an unsigned archive; for tests with an archive of their own only.",
            },
            "base_time_zone": {"type": "str", "default": "Etc/UTC", "description": "Time zone, as in /usr/share/zoneinfo."},
            "mudroom_in_image": IN_IMAGE,
        },
    ),
    "closed": ("Closed before any network is up: a blackhole for devices and a firewall that drops, at every boot.", (), {}),
    "wan": ("The port towards the internet: DHCP or static, IPv6 by router advertisements, name servers.", ("wan",), {}),
    "lan": ("The home network: a bridge of ports, addresses and names by dnsmasq, IPv6 by a ULA.", ("lan",), {}),
    "firewall": ("NAT, port forwards and what may come in; one nftables table that only Mudroom writes.", ("firewall",), {}),
    "dmz": (
        "The devices' network: a VLAN on the trunk port or access ports of its own, and what steers it.",
        ("dmz", "steering"),
        {},
    ),
    "mudroom": (
        "The gateway itself: its code, its Python packages, users, units, and mudroom.toml from all the dictionaries.",
        ("door", "ledger", "leaks", "courier", "web", "notices"),
        {
            "mudroom_cache": {
                "type": "str",
                "default": "{{ lookup('ansible.builtin.env', 'HOME') }}/.cache/mudroom",
                "description": "Folder on the controller that keeps the packed code and Python packages.",
            },
            "mudroom_in_image": IN_IMAGE,
            "mudroom_is_router": {
                "type": "bool",
                "default": "{{ mudroom_preflight.router | default(false) }}",
                "description": "Whether the machine booted as a router already, so that changes are applied at once.",
            },
        },
    ),
    "time": ("One clock, chrony's, which also serves the home and the devices.", ("time",), {}),
    "updates": (
        "Security updates at night; kernel, headers and bcc only together and only by the owner's `mudroom-kernel-update`.",
        ("updates",),
        {},
    ),
    "hardening": (
        "Kernel settings, rare protocols off, ssh by key only, no password anywhere by default.",
        (),
        {"mudroom_in_image": IN_IMAGE},
    ),
    "console": (
        "The box's state in plain words on the screen and the serial port, in place of a login prompt.",
        (),
        {
            "console_terminals": {
                "type": "list",
                "elements": "str",
                "default": ["tty1", "ttyS0"],
                "description": "Terminals that show it.",
            }
        },
    ),
}
SIMPLE = {str: "str", int: "int", float: "float", bool: "bool"}


def option(hint: Any, default: Any, meaning: str) -> dict[str, Any]:
    """One option of an argument spec, from a field's type. Raises TypeError for a type that no role can carry."""
    base = hint
    while hasattr(base, "__metadata__"):
        described = next((meta.description for meta in base.__metadata__ if getattr(meta, "description", None)), "")
        meaning = meaning or described
        base = base.__origin__
    row: dict[str, Any] = {}
    if get_origin(base) in {Union, types.UnionType}:
        base = next(kind for kind in get_args(base) if kind is not type(None))
        return option(base, default, meaning)
    if base in SIMPLE:
        row["type"] = SIMPLE[base]
    elif get_origin(base) is Literal:
        row |= {"type": "str", "choices": list(get_args(base))}
    elif get_origin(base) is tuple:
        inner = option(get_args(base)[0], msgspec.NODEFAULT, "")
        row |= {"type": "list", "elements": inner["type"]}
        if "options" in inner:
            row["options"] = inner["options"]
    elif isinstance(base, type) and issubclass(base, msgspec.Struct):
        row |= {"type": "dict", "options": options(base)}
    else:
        raise TypeError(f"no role can carry {hint}")
    if default is msgspec.NODEFAULT:
        row["required"] = True
    words = meaning[:1].upper() + meaning[1:]
    shown = "" if default is msgspec.NODEFAULT else f" Default: {words_of(default)}."
    row["description"] = f"{words or 'See `mudroom config describe`'}.{shown}".replace("..", ".")
    return row


def words_of(default: Any) -> str:
    """A default as a person writes it."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return "[" + ", ".join(words_of(item) for item in default) + "]"
    return f'"{default}"' if default == "" else str(default)


def options(table: type[msgspec.Struct]) -> dict[str, Any]:
    """The options of a table of mudroom.toml."""
    hints = get_type_hints(table, include_extras=True)
    return {field.name: option(hints[field.name], field.default, "") for field in msgspec.structs.fields(table)}


def spec(role: str) -> dict[str, Any]:
    """The argument spec of a role."""
    purpose, tables, own = PURPOSES[role]
    hints = get_type_hints(config.Config)
    rows: dict[str, Any] = {}
    for table in tables:
        rows[f"mudroom_{table}"] = {
            "type": "dict",
            "default": {},
            "description": f"The table [{table}] of mudroom.toml. {(hints[table].__doc__ or '').splitlines()[0]}",
            "options": options(hints[table]),
        }
    return {"argument_specs": {"main": {"short_description": purpose, "options": rows | own}}}


def readme(role: str) -> str:
    """The role's page, from its spec."""
    main = spec(role)["argument_specs"]["main"]
    lines = [f"# {role}", "", main["short_description"], ""]
    if not main["options"]:
        lines += ["It has no settings.", ""]
    for name, row in main["options"].items():
        lines += [f"## `{name}`", "", row["description"].replace("{{", "{ {") + _default(row), ""]
        if "options" in row:
            lines += ["| setting | type | meaning |", "|---|---|---|"]
            lines += [
                f"| `{key}` | {_type(inner)} | {inner['description'].replace('|', '/')} |"
                for key, inner in row["options"].items()
            ]
            lines += [""]
    lines += [f"The file is {MADE}; `tasks/verify.yml` is the role's proof.", ""]
    return "\n".join(lines)


def _default(row: dict[str, Any]) -> str:
    if "default" not in row or row["type"] == "dict":
        return ""
    return (
        f" ({row['type']}; default `{words_of(tuple(row['default']) if isinstance(row['default'], list) else row['default'])}`)"
    )


def _type(row: dict[str, Any]) -> str:
    if "choices" in row:
        return " or ".join(f"`{choice}`" for choice in row["choices"])
    if row["type"] == "list":
        inner = ", ".join(f"`{name}`" for name in row.get("options", {}))
        return f"list of {row['elements']}" + (f" ({inner})" if inner else "")
    return str(row["type"])


def texts() -> dict[Path, str]:
    """Every file that this makes, with its text."""
    made = {}
    for role in PURPOSES:
        body = yaml.safe_dump(spec(role), sort_keys=False, allow_unicode=True, width=110, explicit_start=False)
        made[ROLES / role / "meta" / "argument_specs.yml"] = f"---\n# {MADE} from gateway/config.py\n{_indented(body)}"
        made[ROLES / role / "README.md"] = readme(role)
    return made


def _indented(body: str) -> str:
    """Lists one step in, as yamllint has them (PyYAML leaves them where their key is)."""
    lines = body.splitlines()
    out, depth = [], -1
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("- "):
            out.append("  " + line)
            depth = indent
        else:
            deeper = depth >= 0 and indent > depth
            out.append("  " + line if deeper else line)
            if not deeper:
                depth = -1
    return "\n".join(out) + "\n"


def main() -> None:
    differing = [path for path, text in texts().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in differing:
            print(f"{path.relative_to(CHECKOUT)} is not what playbooks/tools/role_specs.py makes; run it")
        sys.exit(1 if differing else 0)
    for path in differing:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts()[path], encoding="utf-8")
        print(path.relative_to(CHECKOUT))


if __name__ == "__main__":
    main()
