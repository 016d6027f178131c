"""`mudroom messages` and `mudroom ledger …` as the owner calls them, on a real file and a real process."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.cli import filters, main
from gateway.config import Config
from gateway.ipc.ask import NoAnswer, ask
from gateway.ipc.messages import AskStatus, Status
from gateway.ledger import exporting
from gateway.ledger.anchors import load
from gateway.ledger.batch import Batch
from gateway.ledger.store import Quotas, Store
from tests.unit.ledger.grown import bytes_on_disk, message, said
from tests.unit.ledger.peers import Process, refusal, settings
from tests.unit.ledger.test_anchors import cut

QUOTAS = Quotas(10**9, 10**12, 10**9, 10**9)
HOSTILE = '=HYPERLINK("http://203.0.113.9","\u202ekcilc")\t\x1b]0;x\x07\x7f'


@pytest.fixture
def home(tmp_path: Path) -> Config:
    """A record with a few messages and refusals."""
    made = settings(tmp_path)
    store = Store(made.paths.ledger, QUOTAS)
    store.open()
    said(
        store,
        message(1, {"power": 21, "note": "battery low"}),
        message(2, {"power": 22, "note": HOSTILE}, device="lamp", vendor="Borealis"),
    )
    said(store, message(3, {"power": 23}), answer=False)
    store.commit(Batch(refusals=[msgspec.structs.replace(refusal(), original=b"-1+1|cmd \xff")]))
    store.close()
    return made


@pytest.fixture
def process(home: Config, tmp_path: Path) -> Iterator[Process]:
    found = Process(tmp_path)
    deadline = time.monotonic() + 15
    while True:
        try:
            ask(home.paths.socket("ledger"), AskStatus(), Status)
            break
        except NoAnswer:
            assert time.monotonic() < deadline
            time.sleep(0.02)  # its socket has no event
    yield found
    found.kill()


def call(home: Config, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    file = Path(home.paths.state).parent / "mudroom.toml"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mudroom", "-c", str(file), *words])
        with pytest.raises(SystemExit) as ended:
            main()
    found = capsys.readouterr()
    assert (ended.value.code or 0) == code, found
    return found.out + found.err


def ids(told: str) -> list[str]:
    return [row["id"] for row in json.loads(told)]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ((), [3, 2, 1]),
        (("--device", "lamp"), [2]),
        (("--vendor", "borealis"), [2]),
        (("--type", "nothing"), []),
        (("--field", "/payload/power=21"), [1]),
        (("--field", "/payload/note", "--text", "low"), [1]),
        (("--host", "in.acme.example", "--limit", "2"), [3, 2]),
        (("--since", "1h"), [3, 2, 1]),
        (("--until", "1h"), []),
        (("--until", "2020-01-01"), []),
    ],
)
def test_messages_are_found(home: Config, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], numbers: list[int]) -> None:
    assert ids(call(home, capsys, "messages", "--json", *words)) == [f"m-{n:08d}" for n in numbers]


@pytest.mark.parametrize("words", [("--since", "yesterday"), ("--field", "power=21"), ("--until", "99999999-01-01")])
def test_what_is_not_understood_is_said(home: Config, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert words[1] in call(home, capsys, "messages", *words, code=2)


def test_moments() -> None:
    assert filters.moment("1970-01-01T00:00:01+00:00") == 10**9
    assert abs(filters.moment("2d") - (time.time_ns() - 2 * 86_400 * 10**9)) < 10**10


def test_lines_of_json_are_values_that_drive_no_terminal(home: Config, capsys: pytest.CaptureFixture[str]) -> None:
    told = call(home, capsys, "ledger", "export")
    assert told.isascii()
    assert all(line.isprintable() for line in told.splitlines())
    rows = [json.loads(line) for line in told.splitlines()]
    assert [row["id"] for row in rows] == ["m-00000001", "m-00000002", "m-00000003"]
    assert json.loads(rows[1]["left_the_home"])["payload"]["note"] == HOSTILE
    assert [row["state"] for row in rows] == ["delivered", "delivered", "waiting"]
    assert (rows[0]["answer"], rows[0]["status"], rows[0]["bits"]) == ("{}", 200, 1)
    assert set(rows[0]) == set(exporting.COLUMNS)
    (refused,) = [json.loads(line) for line in call(home, capsys, "ledger", "export", "--refused").splitlines()]
    assert (refused["state"], refused["reason"], refused["pointers"]) == ("refused", "not-declared", "/a")
    assert refused["sent_by_device"] == "-1+1|cmd \\xff"


def test_a_spreadsheet_is_text_and_nothing_else(home: Config, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    assert "1 messages are in" in call(home, capsys, "ledger", "export", "--format", "csv", "--refused", "--to", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    (row,) = csv.DictReader(io.StringIO(file.read_text("utf-8"), newline=""))
    assert row["sent_by_device"] == "'-1+1|cmd \\xff"
    assert "there already" in call(home, capsys, "ledger", "export", "--to", str(file), code=2)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_cell_begins_a_formula(start: str) -> None:
    told = exporting.cell(start + "1\u202e\x00\x1b\u200b\u2066x")
    assert told.startswith("'")
    assert told.isprintable()
    assert told.endswith("1\\u202e\\u0000\\u001b\\u200b\\u2066x")
    assert exporting.cell("a=b") == "a=b"
    assert exporting.cell(-5) == "-5"


def test_the_head_is_anchored_and_a_cut_tail_shows(home: Config, process: Process, capsys: pytest.CaptureFixture[str]) -> None:
    head = call(home, capsys, "ledger", "head").strip()
    assert "is anchored" in call(home, capsys, "ledger", "anchor")
    assert "anchored already" in call(home, capsys, "ledger", "anchor")
    (anchor,) = load(home.paths.anchors)
    assert head == f"{anchor.seq}:{anchor.hash.hex()}"
    (row,) = json.loads(call(home, capsys, "ledger", "verify", "--json"))
    assert (row["anchored"], row["broken"]) == (anchor.seq, None)
    assert process.stop() == 0
    assert f"record {anchor.seq}, hash {anchor.hash.hex()}" in (Path(home.paths.state).parent / "ledger.log").read_text()
    cut(Store(home.paths.ledger, QUOTAS), 4)
    (row,) = json.loads(call(home, capsys, "ledger", "verify", "--json", code=3))
    assert (row["broken"], row["records"]) == (5, 4)
    assert "cut off" in row["why"]
    home.paths.anchors.unlink()
    call(home, capsys, "ledger", "verify")  # without an anchor nobody could tell
    assert "cut off" in call(home, capsys, "ledger", "verify", "--head", head, code=3)
    assert "as `mudroom ledger head` does" in call(home, capsys, "ledger", "verify", "--head", "5:xyz", code=2)


def test_a_ledger_that_comes_back_shorter_is_not_anchored_anew(
    home: Config, process: Process, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    call(home, capsys, "ledger", "anchor")
    process.kill()
    cut(Store(home.paths.ledger, QUOTAS), 4)
    again = Process(tmp_path)
    try:
        deadline = time.monotonic() + 15
        while "cut off" not in (told := call(home, capsys, "ledger", "anchor", code=1)):
            assert time.monotonic() < deadline, told
    finally:
        again.kill()


def test_the_owner_is_asked_before_anything_is_erased(
    home: Config, process: Process, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    call(home, capsys, "ledger", "erase", "--device", "lamp", code=1)
    assert b"kcilc" in bytes_on_disk(home.paths.ledger)
    told = call(home, capsys, "ledger", "erase", "--device", "lamp", "--yes")
    assert "2 records of lamp are erased; record 8 says so" in told
    assert b"kcilc" not in bytes_on_disk(home.paths.ledger)
    row = json.loads(call(home, capsys, "ledger", "erase", "--device", "plug", "--yes", "--json"))
    assert (row["erased"], row["waiting"], row["scrubbed"]) == (3, 1, True)
    assert ids(call(home, capsys, "messages", "--json")) == ["m-00000003"]
    (row,) = json.loads(call(home, capsys, "ledger", "verify", "--json"))
    assert (row["erased"], row["broken"]) == (5, None)


def test_without_the_ledgers_process_nothing_is_erased(home: Config, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no answer" in call(home, capsys, "ledger", "erase", "--device", "lamp", "--yes", code=1)
    assert b"kcilc" in bytes_on_disk(home.paths.ledger)


def test_a_table_shows_what_is_hidden_as_escapes(home: Config, capsys: pytest.CaptureFixture[str]) -> None:
    told = call(home, capsys, "messages", "m-00000002")
    assert "\x1b" not in told
    assert "\u202e" not in told
