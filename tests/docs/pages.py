"""What stands in the documentation? Its pages, taken apart: headings, links, tables, blocks and how each is marked.

A block may be marked by an HTML comment in the line above it:

    <!-- file: domains/commune.yaml -->    the block becomes this file, in the folder where the page's commands run
    <!-- run -->                           the block is a script that has to end with 0
    <!-- run: exit 4 -->                   ... with 4
    <!-- synopsis -->                      the block shows how a command is called; it is not run
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt  # rich brings it
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = tuple(sorted((ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"))))

_MARK = re.compile(r"<!-- (\w+)(?:: ([^>]+?))? -->")
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    text: str
    mark: str
    """`file`, `run`, `synopsis`, or empty."""
    argument: str
    """What the mark says beyond its word."""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    path: Path
    tokens: tuple[Token, ...]

    @property
    def title(self) -> str:
        """Its path inside the project."""
        return str(self.path.relative_to(ROOT))

    @property
    def anchors(self) -> frozenset[str]:
        """What a link may name after `#`, as GitHub and GitLab make it."""
        return frozenset(_slug(text) for _, text in self._headings())

    @property
    def links(self) -> tuple[str, ...]:
        """Every target of a link."""
        inline = (child for token in self.tokens for child in token.children or ())
        return tuple(str(child.attrs["href"]) for child in inline if child.type == "link_open")

    @property
    def codes(self) -> tuple[str, ...]:
        """Every piece of code within a sentence."""
        inline = (child for token in self.tokens for child in token.children or ())
        return tuple(child.content for child in inline if child.type == "code_inline")

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Every fenced block, with its mark."""
        found = []
        for before, token in zip((None, *self.tokens), self.tokens, strict=False):
            if token.type == "fence":
                comment = before.content.strip() if before is not None and before.type == "html_block" else ""
                mark = _MARK.fullmatch(comment)
                word, argument = (mark[1], mark[2] or "") if mark else ("", "")
                line = token.map[0] + 1 if token.map else 0
                found.append(Block(self.path, line, token.info, token.content, word, argument))
        return tuple(found)

    def table(self, heading: str) -> list[list[str]]:
        """The rows of all tables under a heading, each cell as it is written; without their first rows."""
        rows: list[list[str]] = []
        inside = in_body = False
        for index, token in enumerate(self.tokens):
            if token.type == "heading_open":
                inside = self.tokens[index + 1].content == heading
            elif inside and token.type in ("tbody_open", "tbody_close"):
                in_body = token.type == "tbody_open"
            elif in_body and token.type == "tr_open":
                rows.append([])
            elif in_body and token.type == "inline":
                rows[-1].append(token.content)
        return rows

    def _headings(self) -> Iterator[tuple[str, str]]:
        for opening, token in zip(self.tokens, self.tokens[1:], strict=False):
            if opening.type == "heading_open":
                yield opening.tag, token.content


@cache
def page(path: Path) -> Page:
    return Page(path, tuple(_MARKDOWN.parse(path.read_text(encoding="utf-8"))))


def blocks(*languages: str) -> list[Block]:
    """Every block of all pages, in one of these languages if any is given."""
    return [block for path in PAGES for block in page(path).blocks if not languages or block.language in languages]


def plain(cell: str) -> str:
    """A cell without its backticks and escapes."""
    return cell.replace("`", "").replace("\\|", "|").strip()


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
