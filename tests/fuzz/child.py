"""One target in a process of its own: `python3 -m tests.fuzz.child TARGET SCRATCH LIBFUZZER-OPTION…`; started by the runner.

A finding ends the process with a status other than 0, and libFuzzer writes the input into SCRATCH.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gateway", "json"], enable_loader_override=False):
    from tests.fuzz import corpus


def main() -> None:
    """Fuzz until libFuzzer's options say stop."""
    name, scratch, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["gateway", "json"], enable_loader_override=False):
        target = corpus.load(name)
    words = Path(scratch) / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.WORDS))
    found = Path(scratch) / "corpus"
    found.mkdir(exist_ok=True)
    seeds = corpus.KEPT / name
    folders = [str(found), *([str(seeds)] if seeds.is_dir() else [])]
    atheris.Setup([sys.argv[0], f"-dict={words}", f"-artifact_prefix={scratch}/", *options, *folders], target.check)
    atheris.Fuzz()


def _escaped(word: str | bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in (word if isinstance(word, bytes) else word.encode()))


if __name__ == "__main__":
    main()
