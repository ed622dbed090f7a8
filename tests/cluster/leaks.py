"""Where a secret is to be seen, in whatever form a program may have put it."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus


@dataclass(frozen=True)
class Text:
    """Something that can be read: the kind of place it is read at, its name there, and the text."""

    place: str
    name: str
    text: str


def leaks(texts: Iterable[Text], hidden: Mapping[str, str]) -> set[tuple[str, str, str]]:
    """Which secret is seen where: its name, the kind of place, the name of the place."""
    every = {name: forms(secret) for name, secret in hidden.items()}
    return {
        (name, text.place, text.name)
        for text in texts
        for name, shapes in every.items()
        if any(shape in text.text for shape in shapes)
    }


def forms(secret: str) -> set[str]:
    """A secret as it is, in an address, in JSON that Go wrote, and in the base64 of a text that it is somewhere in."""
    shifted = (base64.b64encode(b"." * shift + secret.encode()).decode() for shift in range(3))
    inside = {code[4:-4] for code in shifted}
    return {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), secret.replace("&", r"\u0026"), *inside}


def strings(value: Any) -> Iterator[str]:
    """Every key and every text in a value made of mappings and lists."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield str(key)
            yield from strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from strings(each)
    elif value is not None:
        yield str(value)


def text(place: str, name: str, value: Any) -> Text:
    """A value as what can be read of it."""
    return Text(place, name, "\n".join(strings(value)))
