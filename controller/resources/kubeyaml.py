"""How is a text of YAML documents read as Kubernetes reads it, and at which line can it not be read?"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

MAX_DEPTH = 64
MAX_ALIASED_NODES = 1_000_000

_SHOWABLE = re.compile(r"[-._/a-zA-Z0-9]{1,63}")


@dataclass(frozen=True, slots=True)
class Content:
    """What one document holds, in the types of JSON."""

    number: int
    """Which document of the text, from 1."""
    value: Any


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a document can't be read. `found` names the line and never repeats a value."""

    number: int
    found: str
    remedy: str


def showable(key: object) -> str:
    """A field name as it may be shown; what could be an e-mail or a sentence is masked."""
    return key if isinstance(key, str) and _SHOWABLE.fullmatch(key) else "***"


def read_yaml(text: str) -> Iterator[Content | Flaw]:
    """Read the documents of a text. A syntax error ends it, because nobody can tell what the rest was meant to be."""
    number = 1
    try:
        _refuse_alias_bombs(_shallow(_events(text)))
        for node in yaml.compose_all(text, Loader=_Loader):
            yield _construct(node, number)
            number += 1
    except _UnreadableError as error:
        yield Flaw(number, f"line {error.line} {error.found}", error.remedy)
    except (yaml.YAMLError, UnicodeError) as error:
        yield Flaw(number, f"is not YAML{_place(error, text)}", "correct the syntax there or just before it")


class _UnreadableError(Exception):
    def __init__(self, at: yaml.Node | yaml.Event, found: str, remedy: str) -> None:
        super().__init__(found)
        self.line = _line(at)
        self.found = found
        self.remedy = remedy


class _Loader(yaml.CSafeLoader):
    """A date stays a text, as in Kubernetes."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's own class attribute
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


class _Constructor(yaml.constructor.SafeConstructor):
    """The types of JSON only."""

    yaml_constructors = {  # noqa: RUF012  # PyYAML's own class attribute
        tag: construct
        for tag, construct in yaml.constructor.SafeConstructor.yaml_constructors.items()
        if tag is None or not tag.endswith((":binary", ":omap", ":pairs", ":set", ":timestamp"))
    }


def _refuse_duplicates(root: yaml.Node) -> None:
    """Refuse a key that stands twice in one mapping: parsers would silently keep the last."""
    waiting, met = [root], set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.ScalarNode) or id(node) in met:
            continue
        met.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in keys:
                        found = f"has the key {showable(key.value)} again"
                        raise _UnreadableError(key, found, "keep one of them")
                    keys.add(key.value)
                waiting.append(value)
        else:
            waiting.extend(node.value)


def _construct(node: yaml.Node, number: int) -> Content | Flaw:
    try:
        _refuse_duplicates(node)
        return Content(number, _Constructor().construct_document(node))
    except _UnreadableError as error:
        return Flaw(number, f"line {error.line} {error.found}", error.remedy)
    except (yaml.YAMLError, ValueError, KeyError) as error:
        # A tag that JSON has no type for, a key that is a mapping, `!!int` before something else.
        place = _place(error, "") or f" (from line {_line(node)})"
        return Flaw(number, f"has a value that JSON can't hold{place}", "write texts, numbers, lists and mappings")


def _line(at: yaml.Node | yaml.Event) -> int:
    return at.start_mark.line + 1 if at.start_mark else 1


def _place(error: Exception, text: str) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
        return f" (line {mark.line + 1}, column {mark.column + 1})"
    if isinstance(error, yaml.reader.ReaderError):
        return f" (a control character at line {text.count(chr(10), 0, error.position) + 1})"
    return ""


def _events(text: str) -> Iterator[yaml.Event]:
    """The text as a stream. A syntax error ends it here: the reader proper knows the documents before it."""
    try:
        yield from yaml.parse(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeError):
        return


def _shallow(events: Iterable[yaml.Event]) -> Iterator[yaml.Event]:
    """Refuse nesting that would exhaust the stack of the reader proper."""
    depth = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _UnreadableError(event, "is nested too deeply", f"nest at most {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        yield event


def _refuse_alias_bombs(events: Iterable[yaml.Event]) -> None:
    """Refuse aliases that stand for more than memory holds, for themselves, or for nothing."""
    nodes = aliased = 0
    sizes: dict[str | None, int] = {}
    unfinished: list[tuple[str | None, int]] = []
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            unfinished.append((event.anchor, nodes))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = unfinished.pop()
            sizes[anchor] = nodes - before
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            sizes[event.anchor] = 1
        elif isinstance(event, yaml.AliasEvent):
            size = sizes.get(event.anchor, MAX_ALIASED_NODES + 1)
            nodes += size
            aliased += size
            if aliased > MAX_ALIASED_NODES:
                remedy = "write out what the aliases stand for"
                raise _UnreadableError(event, "has an alias of nothing, of itself, or of too much", remedy)
