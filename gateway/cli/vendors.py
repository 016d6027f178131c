"""`mudroom vendors`: the score of each vendor, and a page of it to publish. Read-only; the same facts as on the owner's page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import scorecard
from gateway.cli.output import Json, console, done, plain, show
from gateway.cli.state import State
from gateway.ledger import scoring
from gateway.ledger.reader import Reader

COLUMNS = ("vendor", "support", "declared", "sent", "withheld", "refused", "messages", "tried", "bits_a_day_at_most")


def vendors(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One vendor, field by field")] = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Write a page of it to publish, with nothing of the home in it"),
    ] = None,
    as_json: Json = False,
) -> None:
    """What vendors' devices declare, send and try, what you keep from them, and what they then refuse: the last thirty days."""
    if export is not None and name is None:
        raise typer.BadParameter("say of which vendor: `mudroom vendors NAME --export FILE`")
    state: State = context.obj
    home = state.registry.current()
    with Reader(state.config.paths.ledger) as reader:
        scores = scoring.look(reader, scorecard.owners(home), time.time_ns())
    found = scorecard.cards(state.config, home, scores)
    if name is None:
        if as_json:
            show((), [found], as_json)
        else:
            show(
                COLUMNS, [_row(card) for card in found["vendors"]], as_json, empty="No vendor is approved, and none was sent to."
            )
        return
    card = _named(found["vendors"], name)
    if export is not None:
        _write(export, card, found, as_json)
    elif as_json:
        show((), [card | {"since": found["since"], "until": found["until"]}], as_json)
    else:
        _tell(card, found)


def _named(cards: list[dict[str, Any]], name: str) -> dict[str, Any]:
    exact = [card for card in cards if name in (card["name"], card["key"])]
    near = [card for card in cards if card["name"].casefold() == name.casefold()]
    if exact:
        return exact[0]
    if len(near) == 1:
        return near[0]
    raise typer.BadParameter(f"there is no vendor {plain(name)}; `mudroom vendors` lists them")


def _write(path: Path, card: dict[str, Any], found: dict[str, Any], as_json: bool) -> None:
    from gateway.web.vendors import document  # here: only who publishes needs templates

    try:
        with path.open("x", encoding="utf-8", errors="replace") as file:
            file.write(document(card, found["since"], found["until"]))
    except FileExistsError:
        raise typer.BadParameter(f"{path} is there already; remove it, or say another name") from None
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}; say a file in a folder that you may write to") from None
    words = f"{path}: read it before you publish it; counted from {found['since']} to {found['until']}"
    done(as_json, words, "export", file=str(path), vendor=card["name"], since=found["since"], until=found["until"])


def _row(card: dict[str, Any]) -> dict[str, Any]:
    return {
        "vendor": card["name"],
        "support": card["support"]["words"],
        **{name: card[name] for name in ("declared", "sent", "withheld", "messages")},
        "refused": card["refused"]["count"],
        "tried": sum(row["count"] for row in card["tried"] if not row["noise"]),
        "bits_a_day_at_most": card["bits"]["most"],
    }


def _tell(card: dict[str, Any], found: dict[str, Any]) -> None:
    out = console()

    def say(text: str) -> None:
        out.print(plain(text), soft_wrap=True)

    say(f"{card['name']}: support {card['support']['words']}. Talks to {', '.join(card['hosts']) or 'nothing that is approved'}.")
    looked = f"; fields and refusals in {'all' if card['whole'] else 'the newest'} {card['looked_at']} on record"
    say(f"{card['messages']} messages from {found['since']} to {found['until']}{looked}.")
    say(f"{card['declared']} fields declared, {card['sent']} sent, {card['withheld']} withheld.")
    for kind in card["types"]:
        say("")
        say(f"{kind['title']} ({kind['type']}), looked at {kind['messages']}")
        for field in kind["fields"]:
            notes = (" required," if field["required"] else "") + ("" if field["declared"] else " of an earlier manifest,")
            say(f"  - {field['title']}:{notes} sent {field['sent']}, withheld {field['withheld']}")
    say("")
    say(f"Refused service {card['refused']['count']} times of {card['refused']['answered']} answers.")
    for why in card["refused"]["why"]:
        wants = f"; it wants: {', '.join(why['needs'])}" if why["needs"] else ""
        say(f"  - {why['words']}: {why['count']}{wants}")
    if card["tried"]:
        say("Its devices tried" + (f", since {card['tried_from']}" if card["tried_from"] else "") + ":")
    for row in card["tried"]:
        say(f"  - {row['words']}: {row['count']}")
    bits = card["bits"]
    say(f"One device could hide {bits['most']} bits a day; really sent: {bits['mean']} on average, {bits['highest']} at most.")
