"""``make reproduce``: versions trained anew from their records, and what is said where that cannot be or differs.

The packages are those of this environment, which are the record's; one of its own is made where a demo is tested.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mlflow import MlflowClient

from flows.ml import landing, training_record
from flows.ml.training_record import TrainingRecord
from flows.retrain import retrain
from ops import reproduce
from tests.integration import home as homes
from tests.integration.home import DATASET, MODEL, Home, run

PYTHON = Path(sys.executable)


@pytest.fixture(scope="module")
def home(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home in which two versions were trained, on one month and on two."""
    with homes.home(platform, tmp_path_factory.mktemp("home")) as own:
        own.land("2023-01", "2023-02", "2023-03")
        run(retrain, model=MODEL, until="2023-02")
        run(retrain, model=MODEL)
        yield own


@pytest.fixture(autouse=True)
def _these_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduce, "environment", lambda lock, folder: PYTHON)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def _run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["reproduce", *words])
        status = reproduce.main()
        said = capsys.readouterr()
        return status, said.out, said.err

    return _run


def record(home: Home, number: int, folder: Path) -> TrainingRecord:
    return reproduce.read(home.registry, home.registry.version(MODEL, number), folder)


def address(home: Home, month: str) -> str:
    """Where the lake has the month now."""
    return landing.manifest(home.lake, DATASET, month).address


def rewrite(home: Home, number: int, data: bytes, folder: Path) -> None:
    """Let the run of a version hold another record."""
    (folder / training_record.NAME).write_bytes(data)
    run_id = home.registry.version(MODEL, number).run_id
    MlflowClient().log_artifact(run_id, str(folder / training_record.NAME), "report")


@pytest.fixture
def altered(home: Home, tmp_path: Path) -> Iterator[Callable[[Callable[[dict[str, Any]], None]], None]]:
    """Change the record of version 2; it is put back afterwards."""
    whole = training_record.to_json(record(home, 2, tmp_path))

    def _alter(change: Callable[[dict[str, Any]], None]) -> None:
        found = json.loads(whole)
        change(found)
        rewrite(home, 2, json.dumps(found).encode(), tmp_path)

    yield _alter
    rewrite(home, 2, whole, tmp_path)


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("number", ["1", "2"])
def test_every_version_comes_out_the_same_with_any_number_of_threads(home, command, number, threads) -> None:
    status, said, told = command("--version", number, "--threads", threads)

    assert status == 0, said
    assert f"Reproduced: all 6 files of version {number} are the same, byte for byte." in said
    assert said.count("the same\n") == 6
    assert "rows of 2023-01" in told
    assert f"training with {threads} thread{'s' if threads == '2' else ''} by {reproduce.shown(PYTHON)}\n" in told


def test_a_month_that_was_corrected_since_does_not_matter(home, command, tmp_path) -> None:
    part = record(home, 2, tmp_path).snapshot.train[0]
    assert (part.month, address(home, "2023-01")) == ("2023-01", part.address)
    try:
        home.land("2023-01", rows=lambda rows: rows.head(rows.height - 200))
        assert address(home, "2023-01") != part.address
        assert command("--version", "2")[0] == 0
    finally:
        home.land("2023-01")


def test_the_code_that_trains_is_that_of_the_record(home, tmp_path) -> None:
    kept = record(home, 1, tmp_path)
    stored = reproduce.stored_files(home.registry, home.registry.version(MODEL, 1), tmp_path)
    older = {**kept.sources, "ml/features.py": kept.sources["ml/features.py"] + "\n# as it was\n"}

    made = reproduce.retrain(home.lake, replace(kept, sources=older), PYTHON, 2, tmp_path)

    assert made["features.py"].decode() == older["ml/features.py"]
    assert list(reproduce.compare(kept, stored, made)) == ["features.py"]


def test_what_differs_is_named_with_the_first_byte_that_does(home, command, monkeypatch) -> None:
    trained = reproduce.retrain

    def _otherwise(*given: Any) -> dict[str, bytes]:
        made = trained(*given)
        return {**made, "encoder.json": made["encoder.json"][:9] + b"?" + made["encoder.json"][10:]}

    monkeypatch.setattr(reproduce, "retrain", _otherwise)
    status, said, _ = command("--version", "1")

    assert status == 1
    assert "encoder.json" in said
    assert "DIFFERS: it was made otherwise, from byte 9 of the " in said
    assert "NOT reproduced: encoder.json. Python " in said
    assert said.count("the same\n") == 5


def test_a_month_that_was_tampered_with_is_found_by_its_digest(home, command, tmp_path) -> None:
    part = record(home, 1, tmp_path).snapshot.train[0]
    key = f"raw/{DATASET}/{part.month}/{part.address}/data.parquet"
    whole, etag = home.lake.read(key)
    etag = home.lake.replace(key, whole[:-1] + b"?", etag)
    try:
        status, said, told = command("--version", "1")
    finally:
        home.lake.replace(key, whole, etag)

    assert (status, said) == (1, "")
    assert f"expected were any bytes of sha256 {part.address}" in told


def test_a_month_that_is_gone_is_named(home, command, tmp_path) -> None:
    part = record(home, 1, tmp_path).snapshot.train[0]
    key = f"raw/{DATASET}/{part.month}/{part.address}/data.parquet"
    whole = home.lake.get(key)
    home.lake.delete(key)
    try:
        status, _, told = command("--version", "1")
    finally:
        home.lake.put_new(key, whole)

    assert status == 1
    assert key in told


@pytest.mark.parametrize("name", ["booster.ubj", "serving.py"])
@pytest.mark.parametrize("how", ["damaged", "gone"])
def test_a_stored_model_that_was_tampered_with_is_found(home, command, name, how) -> None:
    held = home.lose_model(1)
    left = {key: data for key, data in held.items() if how == "damaged" or not key.endswith(f"/{name}")}
    home.restore({key: data[:-1] + b"?" if key.endswith(f"/{name}") else data for key, data in left.items()})
    try:
        status, said, _ = command("--version", "1")
    finally:
        home.restore(held)

    assert status == 1
    wrong = {"damaged": "what MLflow stores is not what the training left", "gone": "MLflow does not have it any more"}
    assert [line.split()[0] for line in said.splitlines() if f"DIFFERS: {wrong[how]}" in line] == [name]
    assert said.count("the same\n") == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found.update(format=0), "The record is of format 0 and this code reads format 1"),
        (lambda found: found["sources"].update({"ml/features.py": "x = 1"}), "ml/features.py is not what its"),
        (lambda found: found["sources"].pop("ml/features.py"), "ml/features.py is not what its"),
        (lambda found: found.update(lock="numpy==1.0"), "the lock is not what its fingerprint"),
        (lambda found: found["snapshot"]["judge"].update(month="2023-04"), "the snapshot is not what its"),
        (lambda found: found["material"].update(seed=7), "the material is not what its fingerprint"),
        (lambda found: found.pop("columns"), "lacks or misnames a part ('columns')"),
        (lambda found: found.update(more=1), "lacks or misnames a part"),
        (lambda found: found.pop("format"), "is no JSON with a format"),
    ],
    ids=["older", "code", "no code", "lock", "months", "seed", "no columns", "unknown part", "no format"],
)
def test_a_record_that_is_older_or_was_altered_is_refused(command, altered, change, words) -> None:
    altered(change)

    status, said, told = command("--version", "2")

    assert (status, said) == (1, "")
    assert words in told


def test_a_version_without_a_record_is_told_its_commit(home, command, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(training_record, "NAME", "not-kept.json")

    status, _, told = command("--version", "1")

    assert status == 1
    assert f"version 1 of {MODEL} has no record" in told
    assert f"Its commit is {homes.GIT_SHA}" in told


def test_a_version_that_never_existed_is_answered_by_those_there_are(command) -> None:
    status, _, told = command("--version", "9")

    assert status == 1
    assert "no version 9 of trip-duration. There are, the newest last: 1, 2." in told


@pytest.mark.parametrize("threads", ["0", "-1", "x"])
def test_no_number_of_threads_is_refused(command, capsys, threads) -> None:
    with pytest.raises(SystemExit):
        command("--version", "1", "--threads", threads)

    assert f"{threads} is no number of threads, from 1" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["", "two"])
def test_a_version_that_is_no_number_is_told_how_to_say_it(command, capsys, number) -> None:
    with pytest.raises(SystemExit):
        command("--version", number)

    assert "make reproduce VERSION=2" in capsys.readouterr().err


def test_code_of_the_record_that_fails_is_told_in_its_words(home, tmp_path) -> None:
    kept = record(home, 1, tmp_path)
    broken = {**kept.sources, "ml/boosting.py": "import no_such_package"}

    with pytest.raises(reproduce.NotReproduced, match=r"ended on an error: .*no_such_package"):
        reproduce.retrain(home.lake, replace(kept, sources=broken), PYTHON, 2, tmp_path)


def test_rows_of_a_month_are_read_in_the_columns_of_the_record_alone(home, tmp_path) -> None:
    kept = record(home, 1, tmp_path)
    month = home.lake.get(f"raw/{DATASET}/2023-01/{kept.snapshot.train[0].address}/data.parquet")
    without = replace(kept, columns=tuple(name for name in kept.columns if name != "distance"))

    assert set(kept.columns) < set(pl.read_parquet_schema(month))
    with pytest.raises(reproduce.NotReproduced, match="ended on an error"):
        reproduce.retrain(home.lake, without, PYTHON, 2, tmp_path)
