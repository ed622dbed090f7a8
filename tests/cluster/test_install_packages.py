"""A change of packages from the lock to a run: its image built anew, pushed, pulled by digest."""

import re
import time
from collections.abc import Callable

import pytest

from tests.cluster.delivery import LOCK, PROBE, Delivery
from tests.integration.servers import ROOT

pytestmark = pytest.mark.timeout(1800)

PACKAGE = "iniconfig"
"""One that needs no other, and that the lock of the tests has and that of the flow runs has not."""


def test_a_package_more_in_the_lock_is_in_the_image_that_its_commit_runs_in(
    delivery: Delivery, say: Callable[[str], None]
) -> None:
    found = re.search(
        rf"^{PACKAGE}==.*\n(?: +--hash.*\n)+", (ROOT / "tests/requirements.txt").read_text(), re.MULTILINE
    )
    assert found
    assert PACKAGE not in delivery.lock
    before, began = delivery.image, time.monotonic()

    commit = delivery.push_code("more", package=PACKAGE, **{LOCK: delivery.lock + found[0]})
    stored = delivery.push_image(say)
    pushed = time.monotonic()
    delivery.submit("apply")

    deployed = time.monotonic()
    say(f"a package more: built and pushed in {pushed - began:.0f} s, deployed in {deployed - pushed:.0f} s")
    assert stored.pushed
    assert delivery.image != before
    assert delivery.pair() == (stored.pinned, commit)
    assert delivery.platform.run(PROBE).message == f"{commit} more True"
