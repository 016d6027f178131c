"""The lookup ``mudroom_tree``: the files of a folder, for the module of the same name to put below another.

Terms are pairs FOLDER:PREFIX, or FOLDER alone, whose files then go below /. It reads on the controller and changes nothing.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: mudroom_tree
author: Mudroom
short_description: The files of folders as a list of path, mode and content
description:
  - Executable files get mode 0755, all others 0644. Hidden files and compiled Python are left out.
options:
  _terms:
    description: Folders, each with C(:PREFIX) where its files do not go below C(/).
    required: true
  only:
    description: Names of files or folders, relative to the folder; without it all of them.
    type: list
    elements: str
    default: []
"""


def files_of(folder: Path, prefix: str, only: list[str]) -> list[dict[str, str]]:
    """Each file as path, mode ("0644") and content (base64), sorted by path."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or any(part.startswith(".") or part == "__pycache__" for part in name.split("/")):
            continue
        if only and not any(name == wanted or name.startswith(wanted + "/") for wanted in only):
            continue
        mode = "0755" if path.stat().st_mode & 0o100 else "0644"
        content = base64.b64encode(path.read_bytes()).decode()
        found.append({"path": f"{prefix.rstrip('/')}/{name}", "mode": mode, "content": content})
    return found


class LookupModule(LookupBase):  # type: ignore[misc]
    """What Ansible looks for."""

    def run(self, terms: list[str], variables: Any = None, **options: Any) -> list[dict[str, str]]:
        self.set_options(var_options=variables, direct=options)
        rows = []
        for term in terms:
            folder, _, prefix = str(term).partition(":")
            if not Path(folder).is_dir():
                raise AnsibleLookupError(f"mudroom_tree: {folder} is no folder")
            rows += files_of(Path(folder), prefix, self.get_option("only"))
        return rows
