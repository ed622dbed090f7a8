"""What crashes leave in MLflow and the ledger, found and put right."""

import pytest

from flows.ml.reconciling.finding import Limits
from flows.retrain import retrain
from tests.integration.home import DATASET, MODEL, Home, run
from tests.integration.reconciling import AT_ONCE, IN_A_YEAR, Plants, close_all, done, look
from tests.integration.warm import KILLED_AT, Warm
from tests.unit.verdicts import VERDICT

pytestmark = pytest.mark.usefixtures("calm")

LET_BE = "let be: MLflow or the ledger has lost the champion"


@pytest.fixture
def plants(home: Home) -> Plants:
    return Plants(home)


def about(found: object, *kinds: str) -> list[tuple[str, str, str]]:
    """What was found of some kinds: MLflow runs of other tests may be left RUNNING."""
    return [one for one in done(found) if one[0] in kinds]  # type: ignore[arg-type]


def test_the_alias_that_a_crash_left_behind_follows_the_ledger(home: Home, plants: Plants) -> None:
    first, second = plants.version("a"), plants.version("b")
    plants.promote(first, "a")
    home.registry.set_champion(MODEL, first)
    plants.promote(second, "b")

    found = look()

    assert done(found) == [
        ("alias unlike the ledger", f"alias champion of {MODEL}", "done: set the alias to the ledger's head")
    ]
    assert found.outcomes[0].finding.why == f"it names version {first}, the ledger's head is version {second}"
    assert home.registry.champion(MODEL) == second
    assert done(look()) == []


def test_a_champion_that_mlflow_has_lost_is_for_a_person_and_said_each_time(home: Home, plants: Plants) -> None:
    number = plants.version("a")
    plants.promote(number, "a")
    plants.mlflow.delete_model_version(MODEL, str(number))

    for _ in range(2):
        found = look()

        assert done(found) == [
            ("champion of the ledger out of service", f"alias champion of {MODEL}", "needs a person")
        ]
        assert found.failed


def test_nothing_of_a_model_is_deleted_while_mlflow_has_lost_its_champion(home: Home, plants: Plants) -> None:
    """It may be restored, and then needs what only its version refers to."""
    oldest, older, champion = (plants.version(name) for name in "cab")
    plants.promote(champion, "b")
    home.registry.set_champion(MODEL, champion)
    plants.mlflow.delete_model_version(MODEL, str(champion))
    staged = [f"candidates/{MODEL}/b/0-naive.parquet", f"candidates/{MODEL}/d/0-naive.parquet"]
    half = f"raw/{DATASET}/2023-01/{'c' * 64}/data.parquet"
    for key in (*staged, half):
        home.lake.put_new(key, b"x")
    limits = Limits(settle=AT_ONCE.settle, stale=AT_ONCE.stale, keep_versions=1, keep_promotions=1)

    found = look(limits, now=IN_A_YEAR)

    assert done(found)[1:] == [
        ("version beyond retention", f"version {oldest} of {MODEL}", LET_BE),
        ("half-written object", f"raw/{DATASET}/2023-01/{'c' * 12}", LET_BE),
        ("staged object nothing refers to", f"candidates/{MODEL}/d", LET_BE),
    ]
    assert plants.numbers() == [oldest, older]
    assert all(home.lake.find(key) for key in (*staged, half))


def test_an_alias_without_a_ledger_is_for_a_person_and_stays(home: Home, plants: Plants) -> None:
    number = plants.version("a")
    home.registry.set_champion(MODEL, number)
    home.lake.put_new(f"candidates/{MODEL}/b/0-naive.parquet", b"x")

    found = look(now=IN_A_YEAR)

    assert [one[2] for one in done(found)] == ["needs a person", LET_BE]
    assert "the ledger is empty: restore the ledger, or remove the alias" in found.outcomes[0].finding.why
    assert home.registry.champion(MODEL) == number


def test_a_version_gets_the_verdict_that_its_run_has(plants: Plants) -> None:
    run_id = plants.run("a", **VERDICT, decision="second")
    plants.mlflow.set_terminated(run_id)
    number = plants.version("a", run_id, {**VERDICT, "verdict": "refuse", "decision": "first"})

    found = look()

    assert done(found) == [
        ("version without its verdict", f"version {number} of {MODEL}", "done: give the version the verdict")
    ]
    assert plants.tags(number) == {"fingerprint": "a", **VERDICT, "decision": "second"}
    assert done(look()) == []


def test_a_version_without_a_verdict_anywhere_is_none_that_could_be_promoted(plants: Plants) -> None:
    number = plants.version("a", tags={})

    look()

    assert plants.tags(number)["verdict"] == "refuse"
    assert "broken off before the verdict" in plants.tags(number)["reason"]
    assert done(look()) == []


def test_a_promoted_version_without_a_verdict_has_that_of_the_ledger(home: Home, plants: Plants) -> None:
    number = plants.version("a", tags={})
    plants.promote(number, "a", decision="why")
    home.registry.set_champion(MODEL, number)

    look()

    assert {key: plants.tags(number)[key] for key in ("verdict", "reason", "decision")} == {
        "verdict": "promote",
        "reason": "r",
        "decision": "why",
    }
    assert done(look()) == []


def test_of_two_versions_of_one_training_the_lower_stays(plants: Plants) -> None:
    lower, higher = plants.version("a"), plants.version("a")

    found = look()

    assert done(found) == [
        (
            "fingerprint registered twice",
            f"version {higher} of {MODEL}",
            "done: delete the version that was never promoted",
        )
    ]
    assert plants.numbers() == [lower]
    assert done(look()) == []


def test_a_double_that_the_ledger_names_stays_and_the_other_one_goes(home: Home, plants: Plants) -> None:
    lower, higher = plants.version("a"), plants.version("a")
    plants.promote(higher, "a")
    home.registry.set_champion(MODEL, higher)

    assert done(look()) == [
        (
            "fingerprint registered twice",
            f"version {lower} of {MODEL}",
            "done: delete the version that was never promoted",
        )
    ]
    assert plants.numbers() == [higher]
    assert done(look()) == []


def test_a_version_that_is_not_trainyards_is_let_be(plants: Plants) -> None:
    mine = plants.version("", tags={})

    assert done(look()) == []
    assert plants.tags(mine) == {}


def test_a_run_left_running_is_ended_by_whether_a_version_came_of_it(home: Home, plants: Plants) -> None:
    dead, alive = plants.run("a"), plants.run("b", **VERDICT)
    plants.version("b", alive)

    found = look()

    assert {one[0] for one in done(found)} == {"MLflow run left RUNNING"}
    assert plants.mlflow.get_run(dead).info.status == "FAILED"
    assert plants.mlflow.get_run(alive).info.status == "FINISHED"
    assert done(look()) == []


def test_what_is_young_is_let_be(home: Home, plants: Plants) -> None:
    plants.version("a", tags={})
    plants.version("a", tags={})
    plants.run("b")

    assert done(look(Limits())) == []


def test_old_versions_go_and_those_in_service_stay(home: Home, plants: Plants) -> None:
    numbers = [plants.version(name) for name in "abcdef"]
    plants.promote(numbers[0], "a")
    plants.promote(numbers[1], "b")
    home.registry.set_champion(MODEL, numbers[1])
    plants.mlflow.set_registered_model_alias(MODEL, "shadow", str(numbers[2]))
    home.lake.put_new(f"candidates/{MODEL}/d/0-booster.ubj", b"x")
    limits = Limits(settle=AT_ONCE.settle, stale=AT_ONCE.stale, keep_versions=2, keep_promotions=1)

    dry = look(limits, dry_run=True, now=IN_A_YEAR)
    assert plants.numbers() == numbers
    found = look(limits, now=IN_A_YEAR)

    gone = [f"version {number} of {MODEL}" for number in (numbers[0], numbers[3])]
    assert [one[1] for one in about(found, "version beyond retention")] == gone
    assert [one[1] for one in about(dry, "version beyond retention")] == gone
    assert [one[1] for one in about(found, "staged object nothing refers to")] == [f"candidates/{MODEL}/d"]
    assert [one[1] for one in about(dry, "staged object nothing refers to")] == [f"candidates/{MODEL}/d"]
    assert plants.numbers() == [numbers[1], numbers[2], numbers[4], numbers[5]]
    assert done(look(limits, now=IN_A_YEAR)) == []
    assert done(look(Limits(keep_days=0), now=IN_A_YEAR)) == []


def test_a_run_that_was_retired_can_be_restored(home: Home, plants: Plants) -> None:
    home.land("2023-01", "2023-02")
    run(retrain, model=MODEL)
    version = home.registry.version(MODEL, 1)
    for name in "bc":
        plants.promote(plants.version(name), name)
    home.registry.set_champion(MODEL, 3)

    look(Limits(stale=AT_ONCE.stale, keep_versions=1, keep_promotions=1), now=IN_A_YEAR)

    assert plants.numbers() == [3]
    assert plants.mlflow.get_run(version.run_id).info.lifecycle_stage == "deleted"
    plants.mlflow.restore_run(version.run_id)
    assert plants.mlflow.get_run(version.run_id).data.tags["verdict"] == "promote"


def test_a_retrain_killed_before_it_had_a_version_is_tidied_up_and_run_again(home: Home, warm: Warm) -> None:
    home.land("2023-01", "2023-02")
    env = {**home.env, KILLED_AT: "flows.ml.registry.Registry._make_version"}
    with warm.run("retrain", env, model=MODEL) as begun:
        begun.go()
        assert begun.killed()

    at_once = look()
    close_all()  # what Prefect's automation does some minutes later
    found = look()
    again = look()
    ended = run(retrain, model=MODEL)

    assert {one[2] for one in done(at_once)} == {f"let be: a run of {MODEL} is under way, or was since this began"}
    assert {one[0] for one in done(found)} == {"staged object nothing refers to"}
    assert done(again) == []
    assert ended.name == "Promoted"
    assert home.outcome() == {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}
