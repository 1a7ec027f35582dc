"""What do these bytes say by the letter of RFC 8259? A second reader, as plain as possible, to judge the first by.

It shares nothing with the parser that it judges: objects are lists of pairs, so that a repeated key stays visible, and
whatever the grammar does not allow is an error.
"""

from dataclasses import dataclass
from typing import Any

_BLANK = " \t\n\r"
_ESCAPED = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX = "0123456789abcdefABCDEF"
_DIGITS = "0123456789"
_DEEPEST = 200


class NotStrictError(Exception):
    """The bytes are no JSON text."""


@dataclass(frozen=True, slots=True)
class Members:
    """One object: its members in order, repetitions included."""

    pairs: tuple[tuple[str, Any], ...]

    def only(self, key: str) -> Any:
        """The value of a key that stands there exactly once. Raises `KeyError`."""
        (value,) = [value for name, value in self.pairs if name == key] or [KeyError]
        if value is KeyError:
            raise KeyError(key)
        return value

    @property
    def repeats(self) -> bool:
        """Whether any key stands there twice."""
        return len({name for name, _ in self.pairs}) < len(self.pairs)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is spelled: what it is worth matters to nobody here."""

    spelled: str


def read_strictly(body: bytes) -> Any:
    """Read one JSON text: `Members`, lists, texts, `Number`, True, False or None. Raises `NotStrictError`."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise NotStrictError from None
    reader = _Reader(text)
    value = reader.value(0)
    reader.blanks()
    if reader.at != len(text):
        raise NotStrictError
    return value


def repeats_somewhere(value: Any) -> bool:
    """Whether any object within has two values for one key."""
    if isinstance(value, Members):
        return value.repeats or any(repeats_somewhere(inner) for _, inner in value.pairs)
    return isinstance(value, list) and any(map(repeats_somewhere, value))


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def value(self, depth: int) -> Any:
        self.blanks()
        if depth > _DEEPEST:
            raise NotStrictError
        match self.peek():
            case "{":
                return Members(tuple(self.within("{", "}", lambda: self.member(depth))))
            case "[":
                return self.within("[", "]", lambda: self.value(depth + 1))
            case '"':
                return self.string()
            case "t":
                return self.word("true", value=True)
            case "f":
                return self.word("false", value=False)
            case "n":
                return self.word("null", value=None)
            case _:
                return self.number()

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, wanted: str) -> str:
        found = self.peek()
        if not found or found not in wanted:
            raise NotStrictError
        self.at += 1
        return found

    def blanks(self) -> None:
        while self.peek() and self.peek() in _BLANK:
            self.at += 1

    def word(self, wanted: str, *, value: object) -> object:
        if not self.text.startswith(wanted, self.at):
            raise NotStrictError
        self.at += len(wanted)
        return value

    def within(self, first: str, last: str, item: Any) -> list[Any]:
        self.take(first)
        self.blanks()
        found: list[Any] = []
        if self.peek() == last:
            self.take(last)
            return found
        while True:
            found.append(item())
            self.blanks()
            if self.take("," + last) == last:
                return found

    def member(self, depth: int) -> tuple[str, Any]:
        self.blanks()
        name = self.string()
        self.blanks()
        self.take(":")
        return name, self.value(depth + 1)

    def string(self) -> str:
        self.take('"')
        found = []
        while (character := self.peek()) != '"':
            if not character or character < " ":
                raise NotStrictError
            self.at += 1
            found.append(self.escape() if character == "\\" else character)
        self.at += 1
        return "".join(found)

    def escape(self) -> str:
        kind = self.take('"\\/bfnrtu')
        if kind != "u":
            return _ESCAPED[kind]
        return chr(int("".join(self.take(_HEX) for _ in range(4)), 16))

    def digits(self) -> None:
        self.take(_DIGITS)
        while self.peek() and self.peek() in _DIGITS:
            self.at += 1

    def number(self) -> Number:
        start = self.at
        if self.peek() == "-":
            self.at += 1
        if self.peek() == "0":
            self.at += 1
        else:
            self.digits()
        if self.peek() == ".":
            self.at += 1
            self.digits()
        if self.peek() in ("e", "E"):
            self.at += 1
            if self.peek() in ("+", "-"):
                self.at += 1
            self.digits()
        return Number(self.text[start : self.at])
