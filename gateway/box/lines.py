"""On which line of a TOML text each setting stands, so that a refusal can name it.

The text has been accepted by ``tomllib`` before; this reader only follows its structure (TOML 1.0). It must never decide
what a value means.
"""

from __future__ import annotations

import contextlib

KeyPath = tuple[str | int, ...]
BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def lines_of(text: str) -> dict[KeyPath, int]:
    """The line (from 1) of every table, key and element: ("firewall", "forwards", 0, "port") → 12.

    A table has the line where it is first named. Of a text that is not TOML: as much as could be followed.
    """
    reader = _Reader(text.replace("\r\n", "\n"))
    with contextlib.suppress(IndexError, RecursionError):  # it ended in the middle, or is absurdly deep
        reader.document()
    return reader.lines


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """The line of ``path``, or of the nearest table around it that is there; 0 where nothing of it is."""
    for size in range(len(path), 0, -1):
        if path[:size] in lines:
            return lines[path[:size]]
    return 0


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text + "\n"
        self.at = 0
        self.line = 1
        self.lines: dict[KeyPath, int] = {}
        self.arrays: dict[KeyPath, int] = {}  # arrays of tables: how many elements so far

    def document(self) -> None:
        table: KeyPath = ()
        self.blank()
        while self.at < len(self.text):
            if self.text.startswith("[[", self.at):
                self.step(2)
                name = self.within(self.key())
                self.arrays[name] = self.arrays.get(name, -1) + 1
                self.note(name)
                table = (*name, self.arrays[name])
                self.note(table)
                self.skip_to("\n")
            elif self.text[self.at] == "[":
                self.step()
                table = self.within(self.key())
                self.note(table)
                self.skip_to("\n")
            else:
                self.pair(table)
                self.skip_to("\n")
            self.blank()

    def within(self, name: KeyPath) -> KeyPath:
        """The path of a header: where it leads through an array of tables, it means that array's last element."""
        path: KeyPath = ()
        for number, part in enumerate(name, 1):
            path = (*path, part)
            self.note(path)
            if number < len(name) and path in self.arrays:
                path = (*path, self.arrays[path])
        return path

    def pair(self, table: KeyPath) -> None:
        path: KeyPath = table
        for part in self.key():
            path = (*path, part)
            self.note(path)
        self.skip_to("=")
        self.step()
        self.value(path)

    def key(self) -> KeyPath:
        """A key, dotted perhaps: bare, "basic" and 'literal' parts."""
        parts: list[str] = []
        while True:
            self.spaces()
            if self.text[self.at] in "\"'":
                parts.append(self.string())
            else:
                first = self.at
                while self.text[self.at] in BARE:
                    self.step()
                parts.append(self.text[first : self.at])
            self.spaces()
            if self.text[self.at] != ".":
                return tuple(parts)
            self.step()

    def value(self, path: KeyPath) -> None:
        self.spaces()
        c = self.text[self.at]
        if c == "[":
            self.step()
            number = 0
            while self.blank() != "]":
                self.note((*path, number))
                self.value((*path, number))
                number += 1
                if self.blank() == ",":
                    self.step()
            self.step()
        elif c == "{":
            self.step()
            while self.blank() != "}":
                self.pair(path)
                if self.blank() == ",":
                    self.step()
            self.step()
        elif c in "\"'":
            self.string()
        else:
            first = self.at
            while self.text[self.at] not in ",]}#\n":
                self.step()
            if self.at == first:
                raise IndexError  # no value: not TOML

    def string(self) -> str:
        """Any of the four kinds of strings; returns what stands between the quotes, escapes as they are written."""
        quote = self.text[self.at]
        if self.text.startswith(quote * 3, self.at):
            self.step(3)
            first = self.at
            while not self.text.startswith(quote * 3, self.at):
                self.step(2 if self.text[self.at] == "\\" and quote == '"' else 1)
            last = self.at
            self.step(3)
            while self.text[self.at] == quote:  # up to two quotes may stand before the closing ones
                self.step()
            return self.text[first:last]
        self.step()
        first = self.at
        while self.text[self.at] != quote:
            self.step(2 if self.text[self.at] == "\\" and quote == '"' else 1)
        self.step()
        return self.text[first : self.at - 1]

    def note(self, path: KeyPath) -> None:
        self.lines.setdefault(path, self.line)

    def step(self, count: int = 1) -> None:
        self.line += self.text.count("\n", self.at, self.at + count)
        self.at += count

    def spaces(self) -> None:
        while self.text[self.at] in " \t":
            self.step()

    def skip_to(self, stop: str) -> None:
        """To ``stop``, or to the line's end. What lies between (a comment, a bracket) says nothing."""
        while self.text[self.at] not in (stop, "\n"):
            self.step()

    def blank(self) -> str:
        """Over white space, line ends and comments; returns the character that follows, empty at the end."""
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                self.skip_to("\n")
            elif self.text[self.at] in " \t\n":
                self.step()
            else:
                return self.text[self.at]
        return ""
