"""The logs that the search for secrets reads: all there are, or the search fails."""

import json
from typing import Any

import pytest

from ops.kind.tools import CommandFailed
from tests.cluster import seen


class Place:
    """A cluster with one pod of one container, whose log is not to be read where ``log`` is None."""

    def __init__(self, state: str, log: str | None, there: str = "", restarts: int = 0) -> None:
        status = {"name": "main", "state": {state: {}}, "restartCount": restarts}
        meta = {"name": "one", "namespace": "space", "uid": "1"}
        self.pod, self.log, self.there = {"metadata": meta, "status": {"containerStatuses": [status]}}, log, there
        self.asked: list[str] = []

    def kubectl(self, verb: str, *argv: str, namespace: str = "") -> str:
        if verb == "get":
            return json.dumps({"items": [self.pod]}) if argv[0] == "pods" else self.there
        self.asked.append(argv[-1])
        if self.log is None:
            raise CommandFailed("`kubectl logs` failed")
        return self.log


def logs(place: Any) -> list[tuple[str, str]]:
    return [(found.name, found.text) for found in seen.of_logs(place)]


def test_the_log_of_a_container_is_read_and_the_one_before_a_restart() -> None:
    place = Place("waiting", "a line", restarts=1)

    assert logs(place) == [("space/one/main", "a line")] * 2
    assert sorted(place.asked) == ["--previous=false", "--previous=true"]


def test_a_container_that_has_not_begun_is_not_asked_for_a_log() -> None:
    assert logs(Place("waiting", None)) == []


def test_a_log_that_is_not_to_be_read_fails_the_search() -> None:
    with pytest.raises(CommandFailed):
        logs(Place("running", None, there="1 "))


@pytest.mark.parametrize("there", ["", "2 ", "1 2026-01-01T00:00:00Z"], ids=["gone", "another", "going"])
def test_a_pod_that_goes_meanwhile_has_no_log(there: str) -> None:
    assert logs(Place("running", None, there)) == [("space/one/main", "")]
