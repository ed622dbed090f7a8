"""The verdicts of ``retrain`` and what each leaves behind."""

import pytest
from mlflow import MlflowClient

from flows.ml import ledger, training
from flows.retrain import retrain
from tests.integration.home import MODEL, Home, run
from tests.integration.warm import Warm


@pytest.fixture
def promoted(home: Home) -> Home:
    """A home where version 1, trained on 2023-01, is in service."""
    home.land("2023-01", "2023-02", "2023-03")
    assert run(retrain, model=MODEL, until="2023-02").name == "Promoted"
    return home


def test_a_candidate_within_noise_of_the_champion_is_registered_and_the_champion_kept_each_time(
    promoted: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted.land("2023-01", rows=lambda rows: rows.head(rows.height - 20))

    state = run(retrain, model=MODEL, until="2023-02")

    outcome = {"versions": {1: "promote", 2: "keep"}, "champion": 1, "ledger": [1]}
    assert (state.type.value, state.name) == ("COMPLETED", "Kept")
    assert state.message == f"version 2: {promoted.registry.version(MODEL, 2).tags['reason']}"
    assert promoted.outcome() == outcome
    monkeypatch.setattr(training, "train", None)
    again = run(retrain, model=MODEL, until="2023-02")
    assert (again.name, again.message) == (state.name, state.message)
    assert promoted.outcome() == outcome


def test_a_champion_that_cannot_be_loaded_refuses_the_candidate_and_stays(promoted: Home) -> None:
    promoted.lose_model(1)
    files_lost = run(retrain, model=MODEL)
    outcome = promoted.outcome()
    MlflowClient().delete_model_version(MODEL, "1")
    version_lost = run(retrain, model=MODEL)

    for state in (files_lost, version_lost):
        assert (state.type.value, state.name) == ("FAILED", "Refused")
        assert "version 2: The champion could not be loaded or scored: version 1 cannot be" in str(state.message)
        assert "Restore it in MLflow, then run this again." in str(state.message)
    assert outcome == {"versions": {1: "promote", 2: "refuse"}, "champion": 1, "ledger": [1]}
    assert promoted.outcome() == {"versions": {2: "refuse"}, "champion": None, "ledger": [1]}


def test_a_champion_that_can_be_loaded_again_is_judged_against_and_the_version_says_so(promoted: Home) -> None:
    held = promoted.lose_model(1)
    assert run(retrain, model=MODEL).name == "Refused"
    promoted.restore(held)

    state = run(retrain, model=MODEL)

    assert (state.type.value, state.name) == ("COMPLETED", "Promoted")
    assert promoted.outcome() == {"versions": {1: "promote", 2: "promote"}, "champion": 2, "ledger": [1, 2]}
    assert "champion_rmse" in promoted.registry.metrics(promoted.registry.version(MODEL, 2))


def test_a_champion_promoted_meanwhile_is_judged_against(promoted: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ledger.entries(promoted.lake, MODEL)[0]
    wins, real = [], ledger.promote

    def late(*args: object, **kwargs: object) -> ledger.Entry:
        if not wins:
            wins.append(real(promoted.lake, MODEL, first, **other))  # type: ignore[arg-type]
        return real(*args, **kwargs)  # type: ignore[arg-type]

    other = {
        "version": 1,
        "fingerprint": first.fingerprint,
        "decision": "by hand",
        "reason": "asked for",
        "operator": "someone",
    }
    monkeypatch.setattr(ledger, "promote", late)
    assert run(retrain, model=MODEL).name == "Promoted"

    entries = ledger.entries(promoted.lake, MODEL)
    assert [entry.operator for entry in entries] == ["retrain", "someone", "retrain"]
    assert promoted.outcome() == {"versions": {1: "promote", 2: "promote"}, "champion": 2, "ledger": [1, 1, 2]}


def test_two_retrains_at_once_leave_one_version_and_both_end_clearly(home: Home, warm: Warm) -> None:
    home.land("2023-01", "2023-02")

    with warm.run("retrain", home.env, model=MODEL) as one, warm.run("retrain", home.env, model=MODEL) as other:
        one.go()
        ends = [other.end(), one.end()]

    assert home.outcome() == {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}
    assert {end["type"] for end in ends} == {"COMPLETED"}
    assert {end["name"] for end in ends} <= {"Promoted", "Unchanged"}
    assert all(end["message"].startswith("version 1") for end in ends)
