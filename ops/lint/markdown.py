"""What a page of documentation names: code, links, headings, each with its line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True)
class Text:
    """A piece of a page: a code span, a line of a code block, the target of a link."""

    line: int
    text: str


@dataclass(frozen=True)
class Page:
    """What a page names. ``anchors`` are its headings, as links name them."""

    spans: tuple[Text, ...]
    block_lines: tuple[Text, ...]
    links: tuple[Text, ...]
    anchors: frozenset[str]

    @property
    def code(self) -> tuple[Text, ...]:
        """Everything set as code."""
        return self.spans + self.block_lines


def read(text: str) -> Page:
    """Take a page apart, by the rules of CommonMark and GitHub's tables."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [*_inline(tokens)]
    return Page(
        spans=tuple(Text(line, token.content) for line, token in inline if token.type == "code_inline"),
        block_lines=tuple(_block_lines(tokens)),
        links=tuple(Text(line, _target(token)) for line, token in inline if token.type in ("link_open", "image")),
        anchors=frozenset(
            anchor(tokens[i + 1].content) for i, token in enumerate(tokens) if token.type == "heading_open"
        ),
    )


def anchor(heading: str) -> str:
    """The name by which GitHub links to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _inline(tokens: list[Token]) -> Iterator[tuple[int, Token]]:
    """Everything within paragraphs, headings and cells, with its line."""
    line = 1
    for token in tokens:
        if token.map:
            line = token.map[0] + 1
        at = line
        for child in token.children or []:
            at += child.type in ("softbreak", "hardbreak")
            yield at, child


def _block_lines(tokens: list[Token]) -> Iterator[Text]:
    for token in tokens:
        if token.type in ("fence", "code_block") and token.map:
            first = token.map[0] + (2 if token.type == "fence" else 1)
            yield from (Text(first + i, line) for i, line in enumerate(token.content.splitlines()))


def _target(token: Token) -> str:
    return str(token.attrGet("href") or token.attrGet("src") or "")
