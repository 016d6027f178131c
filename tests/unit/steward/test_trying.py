"""How a try is bounded: by time and by one at a time; and it says that it was cut."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.ipc.rulebook import Wish
from gateway.ipc.trying import AskTrial
from gateway.ledger.reader import Reader
from gateway.steward.trying import BUSY, Trials
from tests.unit.ledger.peers import connect, refusal
from tests.unit.web.house import House, run
from tests.unit.web.test_ruling import READING

ASK = AskTrial(1, "", "add", 7, "", Wish("withhold", "plug", False, "power-reading", "/payload/power", ""))


def test_where_there_is_no_time_left_it_says_how_far_it_looked(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await house.say(READING)
        short, long = Trials(house.config, seconds=-1), Trials(house.config)
        cut = await short.answer(ASK, house.registry.current())
        assert cut.cut and cut.messages == 0
        whole = await long.answer(ASK, house.registry.current())
        assert not whole.cut and whole.messages == 1 and whole.differences[0].pointer == "/payload/power"
        short.close()
        long.close()

    run(tmp_path, work)


def test_one_at_a_time(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        trials = Trials(house.config)
        home = house.registry.current()
        answers = await asyncio.gather(trials.answer(ASK, home), trials.answer(ASK, home))
        assert [answer.error for answer in answers] == ["", BUSY]
        trials.close()

    run(tmp_path, work)


def test_a_try_ends_in_its_time_also_where_the_record_is_full_of_what_no_rule_is_about(tmp_path: Path) -> None:
    """What a device was refused for other reasons, say, or what was erased: a million of them."""

    async def work(house: House) -> None:
        door = await connect(house.config.paths.socket("ledger"), "door")
        for _ in range(3):
            door.send(refusal())
        await door.close()
        await house.say(READING, device="other")  # commits what came before
        with Reader(house.config.paths.ledger) as reader:
            assert len(reader.refusals()) == 3
        short = Trials(house.config, seconds=-1)
        with closing(sqlite3.connect(house.config.paths.ledger, isolation_level=None)) as database:  # as after an erasure
            database.execute("DROP TRIGGER records_stay")
            database.execute("UPDATE records SET device = ''")
        answer = await short.answer(ASK, house.registry.current())
        assert answer.cut and not answer.messages
        short.close()

    run(tmp_path, work)
