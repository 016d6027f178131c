"""Says at the end of `make test` how each part went, and what failed by name: a part's own list stands far above the next one's.

    python3 -m tests.outcome REPORT.xml …

Reads pytest's JUnit reports, which pytest of this checkout wrote just now. Exit 1 where a part failed, or left no report.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def lines(report: Path) -> tuple[bool, list[str]]:
    """Whether the part passed, and what to say of it."""
    part = report.stem
    try:
        suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return False, [f"{part}: FAILED: it ended before its report"]
    count = {what: sum(int(suite.get(what, "0")) for suite in suites) for what in ("tests", "failures", "errors", "skipped")}
    wrong = [
        f"  FAILED {place.replace('.', '/') + '.py::' if (place := case.get('classname', '')) else ''}{case.get('name')}"
        for suite in suites
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    seconds = sum(float(suite.get("time", "0")) for suite in suites)
    bad = count["failures"] + count["errors"]
    fine = bad == 0 and count["tests"] > count["skipped"]
    said = f"{count['tests'] - bad - count['skipped']} passed, {bad} failed, {count['skipped']} skipped in {seconds:.0f} s"
    return fine, [f"{part}: {'passed' if fine else 'FAILED'}: {said}", *wrong]


def main(reports: list[str]) -> int:
    """The command."""
    passed = bool(reports)
    for report in reports:
        fine, said = lines(Path(report))
        print("\n".join(said), flush=True)
        passed = passed and fine
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
