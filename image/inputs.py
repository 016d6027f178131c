"""Whether the image in image/out was built from what stands in the checkout now.

    python3 -m image.inputs check OUT    exit 0 and one line where OUT holds the image of these very inputs, 1 where it does not
    python3 -m image.inputs record OUT   write down, after a build, what it was built from

Inputs are the contents of the tracked files below INPUTS. Debian's packages are not among them: `make image` always builds
anew and takes the archive's newest; only the tests' build is spared by this.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
INPUTS = (
    "image",
    "playbooks",
    "gateway",
    "ebpf",
    "docs/architecture.md",
    "docs/operating.md",
    "docs/units.md",
    "requirements.lock",
    "pyproject.toml",
)
RECORD = "inputs.sha256"


def digest(checkout: Path = CHECKOUT) -> str:
    """SHA-256 over names and contents of the inputs. Raises CalledProcessError where git cannot list them."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--", *INPUTS]
    listed = subprocess.run(command, cwd=checkout, capture_output=True, check=True)  # noqa: S603 - fixed words
    names = listed.stdout.split(b"\0")
    total = hashlib.sha256()
    for name in sorted(filter(None, names)):
        path = checkout / name.decode()
        if path.is_file():
            total.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def images(out: Path) -> list[Path]:
    """The packed image and the box, where they are."""
    return [*sorted(out.glob("mudroom-*.img.zst")), *sorted(out.glob("mudroom.box"))]


def main(words: list[str]) -> int:
    """The command."""
    if len(words) != 2 or words[0] not in ("check", "record"):
        print(__doc__, file=sys.stderr)
        return 2
    out = Path(words[1])
    record = out / RECORD
    if words[0] == "record":
        record.write_text(digest() + "\n", encoding="ascii")
        return 0
    if len(images(out)) < 2 or not record.exists() or record.read_text(encoding="ascii").strip() != digest():
        return 1
    print(f"image: reused {images(out)[0].name} and mudroom.box: built from what stands here")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
