"""SHA256SUMS beside what was built, in the form that `sha256sum --check` reads. It never keeps the sum of a file that is gone."""

import hashlib
from pathlib import Path

NAME = "SHA256SUMS"


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def read(folder: Path) -> dict[str, str]:
    """File name to hex digest, from the folder's SHA256SUMS; empty if there is none."""
    path = folder / NAME
    if not path.exists():
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in path.read_text().splitlines()) if name}


def record(*files: Path) -> None:
    """Puts the sums of `files` (all in one folder) into that folder's SHA256SUMS, beside those that stand there for files that
    exist.
    """
    folder = files[0].parent
    known = {name: digest for name, digest in read(folder).items() if (folder / name).exists()}
    known |= {path.name: sha256_of(path) for path in files}
    (folder / NAME).write_text("".join(f"{known[name]}  {name}\n" for name in sorted(known)))
