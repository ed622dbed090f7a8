"""``promote``: what an operator puts in service is in service, once, whatever happens on the way."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.flow_engine import run_flow
from prefect.states import Scheduled

from flows.ml import ledger
from flows.ml.ledger import Entry
from flows.promote import promote
from flows.retrain import retrain
from tests.integration import home as homes
from tests.integration.home import MODEL, Home, artifacts, run
from tests.integration.warm import Warm

ADA: dict[str, Any] = {"model": MODEL, "operator": "ada", "reason": "trips to the airport are 9 minutes off"}
BEN: dict[str, Any] = {"model": MODEL, "operator": "ben", "reason": "it was the month, not the model"}


@pytest.fixture(scope="module")
def trained(
    platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Home, dict[str, bytes]]]:
    """A home with two versions, which the gate promoted one after the other, and its ledger by key."""
    with homes.home(platform, tmp_path_factory.mktemp("home")) as home:
        home.land("2023-01", "2023-02", "2023-03")
        assert run(retrain, model=MODEL, until="2023-02").name == "Promoted"
        assert run(retrain, model=MODEL).name == "Promoted"
        yield home, {key: home.lake.get(key) for key in home.lake.keys(f"ledger/{MODEL}/")}


@pytest.fixture
def served(trained: tuple[Home, dict[str, bytes]]) -> Home:
    """The same as the gate left it: version 2 is in service and version 1 was before it."""
    home, entries = trained
    keep_entries(home, 0)
    for key, entry in entries.items():
        home.lake.put_new(key, entry)
    home.registry.set_champion(MODEL, 2)
    for number in (1, 2):
        home.registry.mark(MODEL, number, {"promoted": "", "taken_out": ""})
    return home


def keep_entries(home: Home, count: int) -> None:
    """Let the ledger be its first entries alone."""
    for key in sorted(home.lake.keys(f"ledger/{MODEL}/"))[count:]:
        home.lake.delete(key)


def in_service(home: Home) -> tuple[int | None, list[int]]:
    """The version that the alias names, and those in the ledger."""
    outcome = home.outcome()
    return outcome["champion"], outcome["ledger"]


def tags(home: Home, number: int) -> dict[str, str]:
    """What the tags of a version say to people about its service."""
    found = home.registry.version(MODEL, number).tags
    return {key: found[key] for key in ("promoted", "taken_out") if key in found}


def test_back_to_the_version_before_in_one_action_and_to_any_in_one_more(served: Home) -> None:
    described = MlflowClient().get_model_version(MODEL, "2").description

    back = run(promote, version="previous", **ADA)
    after_back, card = in_service(served), artifacts(back)[f"in-service-{MODEL}"]
    tags_after_back = tags(served, 1), tags(served, 2)
    forth = run(promote, version="2", **BEN)

    entries = ledger.entries(served.lake, MODEL)
    assert (back.type.value, back.name) == ("COMPLETED", "Promoted")
    assert back.message == f"version 1 is in service instead of version 2, by ada: {ADA['reason']}"
    assert after_back == (1, [1, 2, 1])
    assert "version 1 is in service" in str(card.data)
    assert "in place of version 2, by ada" in str(card.data)
    said = f"{entries[2].promoted_at} by ada: {ADA['reason']}"
    assert tags_after_back == ({"promoted": said}, {"promoted": said_by_retrain(entries[1]), "taken_out": said})
    assert (forth.name, in_service(served)) == ("Promoted", (2, [1, 2, 1, 2]))
    assert [(entry.operator, entry.reason) for entry in entries[2:]] == [
        (who["operator"], who["reason"]) for who in (ADA, BEN)
    ]
    assert "taken_out" not in tags(served, 2)
    assert tags(served, 1)["taken_out"].endswith(f" by ben: {BEN['reason']}")
    assert MlflowClient().get_model_version(MODEL, "2").description == described


def said_by_retrain(entry: Entry) -> str:
    """What the tag of a version says that the gate promoted."""
    return f"{entry.promoted_at} by retrain: {entry.reason}"


def test_the_version_in_service_is_left_as_it_is(served: Home) -> None:
    state = run(promote, version="2", **ADA)

    assert (state.type.value, state.name) == ("COMPLETED", "Unchanged")
    assert str(state.message).startswith("version 2 is in service already, since ")
    assert in_service(served) == (2, [1, 2])


def test_of_two_operators_at_once_one_wins_and_the_other_is_told_who(
    served: Home, warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    won: list[dict[str, str]] = []
    real = ledger.promote

    def late(*args: Any, **kwargs: Any) -> Entry:
        with warm.run("promote", served.env, version="1", **BEN) as first:
            won.append(first.end())
        return real(*args, **kwargs)

    monkeypatch.setattr(ledger, "promote", late)
    lost = run(promote, version="previous", **ADA)

    assert [end["name"] for end in won] == ["Promoted"]
    assert (lost.type.value, lost.name) == ("FAILED", "Refused")
    assert f"version 1 was promoted as entry 3 of the ledger meanwhile, by ben ({BEN['reason']})" in str(lost.message)
    assert in_service(served) == (1, [1, 2, 1])


def test_an_operator_whose_run_waited_for_another_one_is_told_who_was_faster(served: Home) -> None:
    with get_client(sync_client=True) as client:
        waited = client.create_flow_run(promote, parameters={**BEN, "version": "2"}, state=Scheduled())
        time.sleep(1)  # the ledger keeps seconds
        assert run(promote, **ADA, version="1").name == "Promoted"
        state = run_flow(
            promote, flow_run=client.read_flow_run(waited.id), parameters=waited.parameters, return_type="state"
        )

    assert (state.name, in_service(served)) == ("Refused", (1, [1, 2, 1]))
    assert "version 1 was put in service meanwhile" in state.message
    assert "by ada: trips to the airport" in state.message


def test_a_second_operator_with_the_same_alarm_does_not_undo_the_rollback(served: Home) -> None:
    run(promote, version="previous", **ADA)

    state = run(promote, version="previous", **BEN)

    assert_refused(served, state, "ada went back to version 1 already, from version 2", [1, 2, 1])


def test_a_version_that_never_existed_is_refused_with_those_there_are(served: Home) -> None:
    state = run(promote, version="7", **ADA)

    assert_refused(served, state, f"MLflow has no version 7 of {MODEL}. There are, the newest last: 1, 2.", [1, 2])


def test_a_version_that_cannot_be_loaded_is_refused(served: Home) -> None:
    held = served.lose_model(1)
    state = run(promote, version="1", **ADA)
    served.restore(held)

    assert_refused(served, state, f"version 1 of {MODEL} cannot be loaded", [1, 2])
    assert "Restore its files in MLflow, or promote another version." in str(state.message)


@pytest.fixture
def predicts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets every stored model predict something else than it would."""
    import mlflow.pyfunc

    return lambda value: monkeypatch.setattr(mlflow.pyfunc.PyFuncModel, "predict", lambda self, rows: value)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([1.0, float("nan"), 2.0, float("inf"), 3.0], "2 of 5 predictions are no finite numbers"),
        ([1.0, 2.0], r"it gave predictions of shape (2,) for 5 rows"),
    ],
)
def test_a_version_whose_predictions_are_no_use_is_refused(
    served: Home, predicts: Any, value: list[float], sentence: str
) -> None:
    predicts(value)

    state = run(promote, version="previous", **ADA)

    assert_refused(served, state, sentence, [1, 2])


def test_a_champion_of_which_the_ledger_knows_nothing_is_told(served: Home) -> None:
    keep_entries(served, 0)

    state = run(promote, version="1", **ADA)

    assert (state.type.value, state.name, in_service(served)) == ("FAILED", "Refused", (2, []))
    assert f"ledger/{MODEL}/ is empty" in str(state.message)


def test_a_model_without_a_version_before_has_nothing_to_go_back_to(served: Home) -> None:
    keep_entries(served, 1)
    first = run(promote, version="previous", **ADA)
    keep_entries(served, 0)
    MlflowClient().delete_registered_model_alias(MODEL, "champion")
    nothing = run(promote, version="previous", **ADA)

    assert "no version to go back to: version 1 is the first" in str(first.message)
    assert "no version to go back to: no version was ever promoted" in str(nothing.message)
    assert {state.name for state in (nothing, first)} == {"Refused"}
    assert in_service(served) == (None, [])


BAD: dict[str, dict[str, str]] = {
    "no operator": {"operator": " "},
    "no reason": {"reason": ""},
    "a long reason": {"reason": "x" * 501},
    "a line break": {"reason": "one\ntwo"},
    "a mark of direction": {"operator": "ada\u202e"},
    "no version": {"version": "0"},
    "a word": {"version": "newest"},
    "the schedule": {"operator": "retrain"},
    "no such model": {"model": "trip-tip"},
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_fails_and_changes_nothing(served: Home, fault: str) -> None:
    state = run(promote, **{**ADA, "version": "previous", **BAD[fault]})

    assert state.type.value == "FAILED"
    assert next(iter(BAD[fault])) in str(state.message)
    assert in_service(served) == (2, [1, 2])


def test_a_retrain_does_not_promote_again_what_an_operator_took_out_until_one_puts_it_back(served: Home) -> None:
    run(promote, version="previous", **ADA)

    barred = run(retrain, model=MODEL)
    after = in_service(served)
    run(promote, version="2", **BEN)
    unchanged = run(retrain, model=MODEL)

    assert (barred.type.value, barred.name) == ("COMPLETED", "Barred")
    assert "version 2 is this very training and was taken out of service on " in str(barred.message)
    assert f"by ada ({ADA['reason']}): the schedule does not promote it again" in str(barred.message)
    assert after == (1, [1, 2, 1])
    assert unchanged.name == "Unchanged"
    assert in_service(served) == (2, [1, 2, 1, 2])


def assert_refused(home: Home, state: State, sentence: str, entries: list[int]) -> None:
    """The run failed as a refusal with the sentence, and the ledger is as it was."""
    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert sentence in str(state.message)
    assert in_service(home) == (entries[-1], entries)
