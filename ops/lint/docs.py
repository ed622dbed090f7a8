"""The check of the docs: every path, verb and deployment they name exists."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from posixpath import normpath
from urllib.parse import unquote

from ops.lint import markdown, prefect_yaml, repository
from ops.lint.finding import Finding
from ops.lint.markdown import Page, Text

PAGES = ("README.md", "CHANGELOG.md", "docs/*.md", "examples/*.md")
SOURCES = frozenset({".py", ".md", ".toml", ".yaml", ".tf", ".sh"})
"""What a name must end with to be taken for a file of the repository wherever it stands."""

_MAKE = re.compile(r"(?:^|[;&|(`]|\$ )\s*(?:[A-Z_]+=\S+ )*make((?: [\w=./$-]+)*)")
_OPEN = re.compile(r"<[^<>]*>|\{[^{}]*\}|\$\w+|…|\.{3}")
_MACHINE = re.compile(r"(?<![\w./:-])/(?:home|Users|root|work|workspace)\b\S*")


@dataclass(frozen=True)
class Facts:
    """What there is to be named: files and folders, verbs, full names of deployments."""

    files: frozenset[str]
    folders: frozenset[str]
    verbs: frozenset[str]
    deployments: frozenset[str]


def check(root: Path) -> list[Finding]:
    """Links, paths, verbs and deployments that do not exist, and paths of one machine."""
    files = repository.files(root)
    deployments = prefect_yaml.load(root).names if prefect_yaml.FILE in files else frozenset[str]()
    facts = Facts(files, repository.folders(files), repository.verbs(root), deployments)
    named = sorted(name for name in files if any(fnmatch(name, page) for page in PAGES))
    texts = {name: (root / name).read_text("utf-8") for name in named}
    pages = {name: markdown.read(text) for name, text in texts.items()}
    found = []
    for name, page in pages.items():
        faults = [*_links(name, pages, facts), *_code(page, facts), *_machine(texts[name])]
        found += [Finding(name, line, message) for line, message in sorted(faults)]
    return found


def _links(name: str, pages: dict[str, Page], facts: Facts) -> Iterator[tuple[int, str]]:
    for link in pages[name].links:
        path, _, anchor = unquote(link.text).partition("#")
        if re.match(r"[a-z][a-z+.-]*:", path):
            continue
        target = normpath(str(PurePosixPath(name).parent / path)) if path else name
        if target not in facts.files | facts.folders | {"."}:
            yield link.line, f"the link leads to {target}, which does not exist"
        elif anchor and target in pages and anchor not in pages[target].anchors:
            yield link.line, f"the link leads to a heading #{anchor}, which {target} has not"


def _code(page: Page, facts: Facts) -> Iterator[tuple[int, str]]:
    for code in page.code:
        for verb in verbs(code.text):
            if verb not in facts.verbs:
                yield code.line, f"`make {verb}`: there is no such verb{repository.nearest(verb, facts.verbs)}"
        for word in words(code.text):
            if _is_missing(word, facts):
                yield code.line, f"`{word}` does not exist"
            elif fault := _deployment(word, facts):
                yield code.line, fault
    yield from _sources(page.spans, facts)


def _sources(spans: tuple[Text, ...], facts: Facts) -> Iterator[tuple[int, str]]:
    """Files named by their last parts, ``lake.py`` or ``ml/lake.py``: some file must end so."""
    for span in spans:
        (word, *more) = words(span.text) or [""]
        if more or _is_missing(word, facts) or PurePosixPath(word).suffix not in SOURCES:
            continue
        if not any(fnmatch(f"/{file}", f"*/{_OPEN.sub('*', word)}") for file in facts.files):
            yield span.line, f"`{word}`: there is no such file"


def _is_missing(word: str, facts: Facts) -> bool:
    """Whether a word is a path below a top-level folder and there is nothing there. Open parts match anything."""
    top, slash, rest = word.partition("/")
    if not slash or not rest or top not in facts.folders:
        return False
    pattern = _OPEN.sub("*", word.rstrip("/"))
    return not any(fnmatch(path, pattern) for path in facts.files | facts.folders)


def _deployment(word: str, facts: Facts) -> str | None:
    """What is wrong with a word of the form ``flow/deployment``; None where it is right or something else."""
    flow, slash, deployment = word.partition("/")
    flows = frozenset(name.partition("/")[0] for name in facts.deployments)
    if flow not in flows or not slash or not re.fullmatch(r"[\w-]+", deployment) or word in facts.deployments:
        return None
    return f"`{word}`: there is no such deployment{repository.nearest(word, facts.deployments)}"


def _machine(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        yield from ((number, f"{match[0]} is a path of one machine") for match in _MACHINE.finditer(line))


def verbs(code: str) -> list[str]:
    """The verbs that a piece of code gives to ``make``; none where it runs in another folder."""
    given = [match[1].split() for match in _MAKE.finditer(code)]
    return [word for words in given if "-C" not in words for word in words if re.fullmatch(r"[a-z][\w-]*", word)]


def words(code: str) -> list[str]:
    """The words of a piece of code that may name something: no quotes, no ``./``, no ``:function`` behind a file."""
    cleaned = (word.strip("\"'`(),;").removeprefix("./").partition(":")[0] for word in code.split())
    return [word.rstrip(".") if not word.endswith("...") else word for word in cleaned if word]
