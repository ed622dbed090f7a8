"""Ports on loopback that are free, and those that are not."""

import socket
from collections.abc import Iterator

import pytest

from ops.ports import is_free, next_free


@pytest.fixture
def taken() -> Iterator[int]:
    """A port somebody listens on, below 60,000 so that there are others after it."""
    with socket.create_server(("127.0.0.1", next_free(20_000))) as listener:
        yield listener.getsockname()[1]


def test_a_port_somebody_listens_on_is_not_free(taken: int) -> None:
    assert not is_free(taken)


def test_a_port_taken_on_all_addresses_is_not_free() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        assert not is_free(listener.getsockname()[1])


def test_a_port_is_free_again_once_its_server_has_ended(taken: int) -> None:
    free = next_free(taken)
    with socket.create_server(("127.0.0.1", free)):
        pass

    assert is_free(free)


def test_the_preferred_port_is_taken_where_it_is_free(taken: int) -> None:
    free = next_free(taken + 1)

    assert next_free(free) == free


def test_else_the_next_one_that_is_free_and_not_spoken_for(taken: int) -> None:
    following = next_free(taken)

    assert following > taken
    assert next_free(taken, {following}) > following


def test_ports_that_are_all_in_use_are_an_error_with_their_numbers(taken: int) -> None:
    with pytest.raises(OSError, match=f"ports {taken} to {taken} are all in use"):
        next_free(taken, attempts=1)
