#!/usr/bin/python3
"""Ansible module: many small files in one call, each replaced atomically, and only where content, mode or owner differ."""

from __future__ import annotations

import base64
import difflib
import os
import stat

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: mudroom_tree
short_description: Put many small files in place in one call
description:
  - Files belong to root. Folders that are missing are made (0755). A symbolic link in a file's place is replaced.
options:
  files:
    description: The files, as the lookup of the same name gives them; text may stand in place of content.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the file goes.
        type: path
        required: true
      content:
        description: What is in it, in base64.
        type: str
      text:
        description: What is in it, as it is.
        type: str
      mode:
        description: Its mode, in octal digits.
        type: str
        default: "0644"
  absent:
    description: Files that must not be there.
    type: list
    elements: path
    default: []
author:
  - Mudroom
"""

EXAMPLES = r"""
- name: Write the host's name
  mudroom_tree:
    files:
      - {path: /etc/hostname, text: "mudroom\n"}
"""

RETURN = r"""
paths:
  description: The files that were written or removed.
  returned: always
  type: list
"""


def differs(path: str, content: bytes, mode: int) -> bool:
    """Whether the file at ``path`` is not exactly what is wanted: a plain file of root's with this content and mode."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != mode or (found.st_uid, found.st_gid) != (0, 0):
        return True
    with open(path, "rb") as file:
        return file.read() != content


def put(path: str, content: bytes, mode: int) -> None:
    """Write the file beside its place and move it there."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    partial = os.path.join(folder, f".{os.path.basename(path)}.mudroom-new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchown(file.fileno(), 0, 0)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _diff(path: str, content: bytes) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            before = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        before = []
    after = content.decode("utf-8", "replace").splitlines()
    return {"prepared": "\n".join(difflib.unified_diff(before, after, path, path, lineterm="")) + "\n"}


def main() -> None:
    row = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str"},
        "text": {"type": "str"},
        "mode": {"type": "str", "default": "0644"},
    }
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": row,
                "mutually_exclusive": [("content", "text")],
                "required_one_of": [("content", "text")],
            },
            "absent": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    changed, diffs = [], []
    for file in module.params["files"]:
        text = file["text"]
        content = text.encode() if text is not None else base64.b64decode(file["content"], validate=True)
        if differs(file["path"], content, int(file["mode"], 8)):
            changed.append(file["path"])
            diffs.append(_diff(file["path"], content))
            if not module.check_mode:
                put(file["path"], content, int(file["mode"], 8))
    for path in module.params["absent"]:
        if os.path.lexists(path):
            changed.append(path)
            if not module.check_mode:
                os.unlink(path)
    module.exit_json(changed=bool(changed), paths=changed, diff=diffs)


if __name__ == "__main__":
    main()
