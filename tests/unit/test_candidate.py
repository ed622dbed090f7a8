"""The files of a candidate on their way to the registry."""

import hashlib

import pytest
from memory_lake import Crash, MemoryLake

from flows.ml import candidate
from flows.ml.lake import DigestMismatch, ObjectMissing

FILES = {"booster.ubj": b"trees", "encoder.json": b"{}"}


def stage(lake: MemoryLake, files: dict[str, bytes] = FILES) -> candidate.Candidate:
    return candidate.stage(lake, "trip-duration", "f1", 10, files)


def test_what_is_staged_is_read_back() -> None:
    lake = MemoryLake()

    staged = stage(lake)

    assert {name: candidate.read(lake, staged, name) for name in staged.files} == FILES
    assert staged.files["booster.ubj"] == hashlib.sha256(b"trees").hexdigest()


def test_the_same_bytes_again_write_nothing() -> None:
    lake = MemoryLake()
    first = stage(lake)

    again = stage(lake)

    assert again == first
    assert lake.writes == len(FILES)


def test_other_bytes_of_the_same_training_do_not_replace_the_first() -> None:
    lake = MemoryLake()
    first = stage(lake)

    other = stage(lake, {**FILES, "booster.ubj": b"other trees"})

    assert candidate.read(lake, first, "booster.ubj") == b"trees"
    assert candidate.read(lake, other, "booster.ubj") == b"other trees"


def test_a_rerun_completes_what_a_crash_left_half_done() -> None:
    lake = MemoryLake(fail_at=2)
    with pytest.raises(Crash):
        stage(lake)

    staged = stage(lake)

    assert {name: candidate.read(lake, staged, name) for name in staged.files} == FILES


def test_bytes_that_are_not_those_of_training_are_refused_with_the_object_and_the_remedy() -> None:
    lake = MemoryLake()
    staged = stage(lake)
    lake.objects[staged.key("booster.ubj")] = b"changed"

    with pytest.raises(DigestMismatch, match=r"s3://memory/candidates/trip-duration/f1/\S+ is not .* and retrain"):
        candidate.read(lake, staged, "booster.ubj")


def test_a_file_that_is_gone_is_missing() -> None:
    lake = MemoryLake()
    staged = stage(lake)
    del lake.objects[staged.key("encoder.json")]

    with pytest.raises(ObjectMissing):
        candidate.read(lake, staged, "encoder.json")
