"""The words an operator may give to ``promote``: what the form lets through, and what it does not."""

import pytest
from pydantic import TypeAdapter, ValidationError

from flows.promote import Operator, Reason, WhichVersion, promote

VERSION: TypeAdapter[str] = TypeAdapter(WhichVersion)
OPERATOR: TypeAdapter[str] = TypeAdapter(Operator)
REASON: TypeAdapter[str] = TypeAdapter(Reason)


@pytest.mark.parametrize("text", ["previous", "1", "12", " 7 "])
def test_a_version_is_a_number_or_previous(text: str) -> None:
    assert VERSION.validate_python(text) == text.strip()


@pytest.mark.parametrize("text", ["", "0", "-1", "01", "1.5", "newest", "1 2", "9" * 10])
def test_another_word_is_no_version(text: str) -> None:
    with pytest.raises(ValidationError):
        VERSION.validate_python(text)


@pytest.mark.parametrize("text", ["Ada Lovelace", " ada ", "日本", 'it\'s "off" by $9 | <b>'])
def test_any_line_of_text_is_a_name_or_a_reason(text: str) -> None:
    assert OPERATOR.validate_python(text) == REASON.validate_python(text) == text.strip()


@pytest.mark.parametrize(
    "text", ["", "  ", "one\ntwo", "a\x00b", "a\x1b[31m", "a\x85b", "a\u2028b", "a\u202eb", "a\u2066b"]
)
def test_nothing_and_what_does_not_show_as_it_is_are_neither(text: str) -> None:
    for words in (OPERATOR, REASON):
        with pytest.raises(ValidationError):
            words.validate_python(text)


def test_words_have_a_longest_length() -> None:
    assert len(OPERATOR.validate_python("x" * 100)) == 100
    assert len(REASON.validate_python("x" * 500)) == 500
    with pytest.raises(ValidationError):
        OPERATOR.validate_python("x" * 101)
    with pytest.raises(ValidationError):
        REASON.validate_python("x" * 501)


def test_the_form_asks_for_everything_and_says_what_for() -> None:
    schema = promote.parameters

    assert schema.required == ["model", "version", "operator", "reason"]
    assert all(field["description"] for field in schema.properties.values())
