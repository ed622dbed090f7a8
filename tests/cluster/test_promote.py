"""``promote`` as a Job: back to the version before, from a cold pod, while an operator waits for it."""

import time

import pytest

from flows.ml import ledger
from ops.kind import demo as demonstration
from tests.cluster.platform import Platform

pytestmark = pytest.mark.timeout(1500)  # the first test of a session waits for images and cluster

MODEL = "trip-duration"
PATIENCE = 90.0
"""Seconds a rollback may take on a busy machine; on a quiet one it shall take no more than 30."""


def test_an_operator_is_back_at_the_version_before_within_a_minute_and_a_half(cluster: Platform) -> None:
    cluster.forget()
    demonstration.publish(cluster.access, cluster.root)
    for month in ("2023-01", "2023-02", "2023-03"):
        given = {"month": month, "source": cluster.source}
        ended = cluster.wait(cluster.start(f"monthly/{MODEL}", given), 240).state
        assert ended
        assert ended.name in {"Landed", "Promoted"}
    first, second = ledger.entries(cluster.lake(), MODEL)

    began = time.monotonic()
    run = cluster.wait(cluster.start(f"promote/{MODEL}", {"operator": "ada", "reason": "it is off"}), 240)
    took = time.monotonic() - began

    print(f"a rollback: {took:.1f} s")
    assert run.state is not None
    assert (run.state.name, cluster.registry().champion(MODEL)) == ("Promoted", first.version), run.state.message
    assert ledger.bar(ledger.entries(cluster.lake(), MODEL), second.fingerprint)
    assert took < PATIENCE
