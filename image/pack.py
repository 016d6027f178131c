"""`python3 -m image.pack --root TREE --out FILE.img`: the tree as a flashable disk, compressed, with its SHA-256.

TREE is normalised in place first (see `image.normalise`). It never changes what the tree is about: no package, no setting,
no user.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from image import archive, sums
from image.disk import DiskError, write_disk
from image.epoch import build_time, environment
from image.grub import GrubError
from image.layout import MIB, plan, root_size_for
from image.normalise import normalise

# Measured on the image of 930 MB, processor seconds: 10 takes 31 (305 MB), 15 takes 200, 19 about 600 and is 13 % smaller.
DEFAULT_LEVEL = 10


def make_disk(tree: Path, target: Path, moment: int, *, root_size: int | None = None, seed: str | None = None) -> None:
    """Normalises `tree` and writes it as a raw disk to `target`; `root_size` in bytes, or as large as the content asks for."""
    normalise(tree, moment)
    layout = plan(seed or target.stem, root_size or root_size_for(archive.content_size(tree)))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_disk(tree, layout, target, moment)


def compress(source: Path, level: int) -> Path:
    """Writes SOURCE.zst beside `source`. The bytes hang on the level, not on the number of processors."""
    target = source.with_name(source.name + ".zst")
    command = ["zstd", "-q", "-f", f"-{level}", "--long=27", "-T0", "-o", str(target), str(source)]
    subprocess.run(command, check=True, env=environment(0))  # noqa: S603 - arguments are ours
    return target


def main(arguments: list[str] | None = None) -> int:
    """The command. Returns 0, or 1 with a line that says which step failed."""
    parser = argparse.ArgumentParser(prog="image.pack", description="Packs a root tree into a bootable disk.")
    parser.add_argument("--root", type=Path, required=True, metavar="TREE", help="the root tree; it is normalised in place")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE.img", help="the raw disk; FILE.img.zst is written beside it"
    )
    parser.add_argument(
        "--size", type=int, metavar="MIB", help="size of the root partition (default: content, a third more, 256 MiB)"
    )
    parser.add_argument("--seed", help="what the disk's identities are made from (default: FILE)")
    parser.add_argument("--level", type=int, default=DEFAULT_LEVEL, help="zstd level; 0: raw disk only (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    moment = build_time()
    begun = time.monotonic()
    out: Path = chosen.out
    try:
        make_disk(chosen.root, out, moment, root_size=chosen.size * MIB if chosen.size else None, seed=chosen.seed)
    except (DiskError, GrubError, subprocess.CalledProcessError) as fault:
        print(f"pack: {fault}", file=sys.stderr)
        return 1
    print(f"pack: {out} ({out.stat().st_size // MIB} MiB) in {time.monotonic() - begun:.0f} s", flush=True)
    written = [out]
    if chosen.level:
        begun = time.monotonic()
        packed = compress(out, chosen.level)
        written.append(packed)
        print(f"pack: {packed} ({packed.stat().st_size / 1e6:.0f} MB, zstd -{chosen.level}) in {time.monotonic() - begun:.0f} s")
    sums.record(*written)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
