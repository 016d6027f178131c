"""How a try is bounded: by time and by one at a time; and it says that it was cut."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.ipc.rulebook import Wish
from gateway.ipc.trying import AskTrial
from gateway.steward.trying import BUSY, Trials
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
