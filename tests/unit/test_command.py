"""What commands share."""

import argparse

import pytest
from prefect.exceptions import ObjectNotFound

from flows.ml.errors import TrainyardError
from ops.command import count_of, last_line, says_errors, sentence


def test_a_named_error_is_a_sentence_and_exit_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    @says_errors
    def command(status: int) -> int:
        if status:
            raise TrainyardError("it is not there. Put it there.")
        return status

    assert (command(0), command(1)) == (0, 1)
    assert capsys.readouterr().err == "trainyard: it is not there. Put it there.\n"


def test_another_error_is_not_hidden() -> None:
    @says_errors
    def command() -> int:
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="a fault of ours"):
        command()


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (("one\n two \n\n", "three"), "two"),
        (("\n", "three\n"), "three"),
        (("", " "), "no word why"),
    ],
)
def test_the_last_line_is_that_of_the_first_text_that_says_something(texts: tuple[str, ...], line: str) -> None:
    assert last_line(*texts) == line


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.5", "+1"])
def test_what_is_no_count_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no number of threads, from 1"):
        count_of("threads")(text)


def test_a_count_is_a_number() -> None:
    assert [count_of("threads")(text) for text in ("1", "12")] == [1, 12]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TrainyardError("it is not there."), "it is not there."),
        (
            ObjectNotFound(Exception("404 Not Found for url 'http://p/api'\nFor more, look there")),
            "Prefect: 404 Not Found",
        ),
        (ObjectNotFound(Exception("404"), help_message="no such deployment"), "no such deployment"),
    ],
)
def test_an_error_of_prefect_without_a_word_says_what_was_answered(error: Exception, said: str) -> None:
    assert sentence(error).startswith(said)
    assert "\n" not in sentence(error)
