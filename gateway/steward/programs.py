"""What the steward does for programs: whose a token is, with a bound on guesses, and the owner's list of them.

A program acts in its own name and never for the owner's keys: no token makes, revokes or lists tokens, or sets a password.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from gateway.config import Config
from gateway.deeds import noted
from gateway.ipc.looking import AskLooks, StartLook
from gateway.ipc.noticing import AskNotices
from gateway.ipc.pairing import AskPairings
from gateway.ipc.programs import AskFigures, AskTokens, Bearer, Borne, Made, MakeToken, RevokeToken, TokenList, TokenRow
from gateway.ipc.scores import AskScores
from gateway.ipc.steward import AskCounts, AskMessage, AskMessages, AskNews, Decide, Done, Refusal
from gateway.noting import NotRecorded, on_record
from gateway.steward.guesses import Guesses
from gateway.steward.tokens import ROLES, Kept, TokenError, Tokens, is_token

log = logging.getLogger(__name__)

# What a token may ask and decide. All else needs a session: who finds a token in a script shall not take over the house.
ASKS = AskNews | AskMessages | AskMessage | AskCounts | AskFigures | AskScores | AskNotices | AskPairings | AskLooks
DECIDES = frozenset({"kind", "approve", "decline", "admit", "forget", "budget", "pace"})


def open_to_programs(message: object) -> bool:
    """Whether a program's token is enough to ask or decide this; its role counts besides."""
    return isinstance(message, ASKS | StartLook) or (isinstance(message, Decide) and message.what in DECIDES)


class Programs:
    """``clock``: for guesses, which are counted apart from those at the door: a script with an old token locks nobody out."""

    def __init__(self, config: Config, clock: Callable[[], float] = monotonic) -> None:
        self._config = config
        self._tokens = Tokens(Path(config.paths.state))
        self.guesses = Guesses(clock)
        self._changing = asyncio.Lock()

    def whose(self, token: str) -> Kept | None:
        """The program that this token is; None where it is none, or a session's. Raises OSError and ValueError."""
        return self._tokens.find(token) if is_token(token) else None

    async def bearer(self, message: Bearer) -> Borne:
        """Asked first for each of a program's requests."""
        if wait := self.guesses.late(message.address):
            return Borne(message.ref, "", wait)
        found = self.whose(message.token)
        if found is None:
            wait = self.guesses.wait(message.address)
            log.warning("a token that is nobody's came from %s", message.address)
            return Borne(message.ref, "", wait)
        try:
            await asyncio.to_thread(self._tokens.touch, found)
        except OSError as error:
            log.warning("that %r was used today could not be kept: %s", found.name, error)
        return Borne(message.ref, ROLES[found.may], 0)

    async def answer(self, message: MakeToken | RevokeToken | AskTokens, role: str) -> Made | Done | TokenList | Refusal:
        """The owner's list. ``role``: of the session that asks. Raises OSError and ValueError."""
        if role != "owner" or is_token(message.token):
            return Refusal(message.ref, "role")
        if isinstance(message, AskTokens):
            rows = (TokenRow(each.name, each.may, each.made, each.ends, each.used) for each in self._tokens.all())
            return TokenList(message.ref, tuple(rows))
        async with self._changing:
            try:
                made = await asyncio.to_thread(self._change, message)
            except (TokenError, NotRecorded) as error:
                log.warning("%s %r was not done: %s", type(message).__name__, message.name, error)
                why = str(error)[:512]
                return Made(message.ref, "", why) if isinstance(message, MakeToken) else Done(message.ref, why)
        log.info("%s %r is done", type(message).__name__, message.name)
        return made

    def _change(self, message: MakeToken | RevokeToken) -> Made | Done:
        """Checked, on record, then done. A token is taken back also while nothing can be recorded."""
        by = f"owner at {message.address}"
        if isinstance(message, RevokeToken):
            self._tokens.known(message.name)
            unrecorded = noted(self._config, by, "", "revoke-token", message.name, giving=False)
            self._tokens.revoke(message.name)
            return Done(message.ref, "", unrecorded[:512])
        self._tokens.check(message.name, message.may, message.days)
        on_record(self._config, "", "token", by, detail(message.name, message.may, message.days))
        return Made(message.ref, self._tokens.make(message.name, message.may, message.days), "")


def detail(name: str, may: str, days: int) -> str:
    """What a deed says of a new token; the command says the same."""
    return f"{name}: may {may}, {f'{days} days' if days else 'no end'}"
