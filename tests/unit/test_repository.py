"""The checkout itself keeps its promises: documents, names and lists that must agree."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

from gateway.cli.command import app
from gateway.reasons import Reason

ROOT = Path(__file__).parents[2]


def tracked() -> list[Path]:
    """Files of the checkout; where git is of no help, all files that are no caches."""
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = done.stdout.split("\n") if done.returncode == 0 else [str(p.relative_to(ROOT)) for p in ROOT.rglob("*")]
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_every_make_target_in_the_readme_exists_and_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    explained = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M))
    assert targets == explained
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    named = {
        t
        for d in documents
        for t in re.findall(r"`?(?:sudo )?make ([a-z-]+)`?", d.read_text())
        if t in targets or "`make" in d.read_text()
    }
    assert {"demo", "test", "lab-up", "lab-down"} <= named


def test_every_command_in_the_readme_exists() -> None:
    import typer.main

    group = typer.main.get_command(app)
    known = set(group.commands)  # type: ignore[attr-defined]
    for document in (ROOT / "README.md", ROOT / "docs" / "architecture.md"):
        for command in re.findall(r"mudroom ([a-z]+)", document.read_text()):
            if re.search(rf"(`|\./)mudroom {command}", document.read_text()):
                assert command in known, (document, command)


def test_every_reason_has_a_test_that_names_it() -> None:
    """By its name or its label, somewhere below tests/ (the kernel's are also covered row by row in tests/ebpf)."""
    text = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))
    missing = [reason.name for reason in Reason if not re.search(rf"\b{reason.name}\b", text) and f'"{reason.label}"' not in text]
    assert missing == []


def test_codes_and_labels_are_unique() -> None:
    assert len({reason.code for reason in Reason}) == len({reason.label for reason in Reason}) == len(Reason)
    for reason in Reason:
        assert Reason.from_code(reason.code) is Reason.from_label(reason.label) is reason
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", reason.label)


def test_every_dependency_is_locked_with_hashes_and_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    architecture = (ROOT / "docs" / "architecture.md").read_text().lower()
    for lock, wanted in (
        ("requirements.lock", project["project"]["dependencies"]),
        ("requirements-dev.lock", project["dependency-groups"]["dev"]),
    ):
        text = (ROOT / lock).read_text()
        pins = re.findall(r"^([a-z0-9-]+)==", text, re.M)
        blocks = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.M)[1:]
        assert all("--hash=sha256:" in block for block in blocks)
        for requirement in wanted:
            name = re.split(r"[<>=!~ ]", requirement)[0]
            assert name in pins
            assert name.removeprefix("pytest-") in architecture, f"{name} has no reason in docs/architecture.md"
    assert not re.search(r"https?://", (ROOT / "requirements.lock").read_text())


def test_no_secret_and_no_machine_path_is_tracked() -> None:
    wrong = []
    for path in tracked():
        text = path.read_text(errors="replace")
        if path == Path(__file__) or path.suffix == ".lock":
            continue
        if "BEGIN EC PRIVATE KEY" in text or "BEGIN PRIVATE KEY-----\nM" in text or "/work/" in text:
            wrong.append(str(path.relative_to(ROOT)))
    assert wrong == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "gateway").rglob("*.py")
        if path.read_text().strip() and not path.read_text().lstrip().startswith('"""')
    ]
    assert silent == []
