"""The images without Docker: what their tags depend on, what they are made of, how they are built and weighed."""

import gzip
import io
import itertools
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from ops import images
from ops.image_facts import Sizes, weigh
from ops.images import BASE, DOCKERFILE, LOCKS, ImageError

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("flows", "server", "mlflow")
LOCKED = sorted({*LOCKS.values(), "ops/requirements.txt", "tests/requirements.txt"})
SCRIPT = """#!/bin/sh
case "$1 $2" in
  "version "*) exit ${ENGINE:-0} ;;
  "image inspect") case "$PRESENT" in *"$3"*) exit 0 ;; esac; echo "no such image" >&2; exit 1 ;;
  "build "*) printf '%s\\n' "$@" >"$CALLS"; cat >"$CONTEXT"
    echo step 1; echo "no route to the index" >&2; exit ${BUILT:-0} ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return copied(tmp_path / "checkout")


def copied(folder: Path) -> Path:
    for part in ("flows", "docker"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def tags(root: Path) -> dict[str, str]:
    return {image.name: image.reference for image in images.images(root)}


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {name for name in NAMES if before[name] != after[name]}


class Docker:
    """A program ``docker`` that writes down what it is told to build."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls, self.context, self._set = folder / "calls", folder / "context.tar", monkeypatch.setenv
        program = folder / "docker"
        program.write_text(SCRIPT)
        program.chmod(0o755)
        self._set("PATH", f"{folder}:{os.environ['PATH']}")
        self.answers(CALLS=str(self.calls), CONTEXT=str(self.context), PRESENT="")

    def answers(self, **how: str) -> None:
        for name, value in how.items():
            self._set(name, value)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Docker(folder, monkeypatch)


def test_there_are_three_in_a_fixed_order_under_the_registry_asked_for() -> None:
    found = images.images(ROOT, "registry.example.com/team")

    assert tuple(image.name for image in found) == NAMES
    assert all(
        re.fullmatch(rf"registry\.example\.com/team/{image.name}:[0-9a-f]{{12}}", image.reference) for image in found
    )


def test_a_change_of_flow_code_leaves_the_tags_alone(checkout: Path) -> None:
    before = tags(checkout)

    append(checkout / "flows" / "retrain.py", "# changed\n")
    append(checkout / "flows" / "ml" / "training.py", "# changed\n")
    (checkout / "flows" / "models" / "another.py").write_text("")

    assert tags(checkout) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_change_of_a_lock_changes_the_tag_of_that_image_only(checkout: Path, name: str) -> None:
    before = tags(checkout)

    append(checkout / LOCKS[name], "package==1.0\n")

    assert changed(before, tags(checkout)) == {name}


@pytest.mark.parametrize("path", [BASE, DOCKERFILE])
def test_a_change_of_what_all_stand_on_changes_every_tag(checkout: Path, path: str) -> None:
    before = tags(checkout)

    append(checkout / path, "# changed\n")

    assert changed(before, tags(checkout)) == set(NAMES)


def test_two_checkouts_agree_wherever_they_are_and_whenever_they_were_made(checkout: Path, tmp_path: Path) -> None:
    other = copied(tmp_path / "elsewhere" / "deep")
    for file in (other / "docker").rglob("*"):
        os.utime(file, (0, 0))

    assert tags(other) == tags(checkout)


def test_images_of_the_same_packages_do_not_share_a_tag(checkout: Path) -> None:
    for lock in LOCKS.values():
        (checkout / lock).write_text("package==1.0\n")

    assert len({reference.rpartition(":")[2] for reference in tags(checkout).values()}) == len(NAMES)


def stages() -> dict[str, list[str]]:
    """The Dockerfile's instructions by stage; those before the first under an empty name."""
    found: dict[str, list[str]] = {"": []}
    text = re.sub(r"^\s*#.*\n", "", (ROOT / DOCKERFILE).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        if match := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            found[match[2]] = [line]
        else:
            found[[*found][-1]].append(line)
    return found


def test_every_stage_stands_on_the_locked_base_and_nothing_is_pulled_beside_it() -> None:
    parents = {stage: lines[0].split()[1] for stage, lines in stages().items() if stage}

    assert parents == {"base": "${BASE_IMAGE}", **dict.fromkeys(("packages", *NAMES), "base")}
    assert not re.search(r"^#\s*(syntax|escape)\s*=", (ROOT / DOCKERFILE).read_text(), re.MULTILINE | re.IGNORECASE)


def test_the_base_has_a_tag_that_is_not_latest_and_a_day_of_its_fixes() -> None:
    lines = (ROOT / BASE).read_text().splitlines()
    locked = dict(line.split("=", 1) for line in lines if not line.startswith("#"))

    assert set(locked) == {"BASE_IMAGE", "PATCHED"}
    assert re.fullmatch(r"[a-z0-9./-]+:(?!latest$)[\w.-]+(@sha256:[0-9a-f]{64})?", locked["BASE_IMAGE"])
    assert date.fromisoformat(locked["PATCHED"]) >= date(2026, 11, 22)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_runs_as_nobody_by_number(name: str) -> None:
    last = [line for line in stages()[name] if line.startswith("USER ")][-1]

    assert re.fullmatch(r"USER [1-9]\d{3,}:[1-9]\d{3,}", last)
    assert stages()[name][-1] == last


def test_only_a_lock_enters_and_only_with_its_hashes_and_as_wheels() -> None:
    lines = [line for stage in stages().values() for line in stage]
    copies = [line for line in lines if line.startswith(("COPY", "ADD")) and "--from=packages" not in line]
    installs = [
        line for line in lines if "pip" in line and " install --" in line and not line.startswith("RUN apt-get")
    ]

    assert copies == ["COPY requirements.txt /tmp/requirements.txt"]
    assert len(installs) == 1
    assert all(option in installs[0] for option in ("--require-hashes", "--no-deps", "--only-binary :all:"))


@pytest.mark.parametrize("lock", LOCKED)
def test_a_lock_has_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    packages = re.split(r"\n(?=\S)", text.strip())

    assert packages
    assert all(re.match(r"[\w.-]+==\S+", package) and "--hash=sha256:" in package for package in packages)
    assert not re.search(r"://|--(extra-)?index|--find-links", text)


def test_a_package_has_one_version_in_all_locks() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKED:
        for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / lock).read_text(), re.MULTILINE):
            versions.setdefault(name, set()).add(version)

    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_the_locks_are_what_the_lists_of_packages_make_of_them(tmp_path: Path) -> None:
    """Compiled from those there are they keep their versions, as after a package was put on a list or taken off."""
    for path in (*ROOT.glob("*/requirements.*"), *ROOT.glob("docker/*/requirements.*"), ROOT / "ops" / "lock"):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    done = subprocess.run([tmp_path / "ops" / "lock"], env=env, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    for lock in LOCKED:
        assert (tmp_path / lock).read_text() == (ROOT / lock).read_text(), lock


def test_what_the_engine_has_is_not_built_again(checkout: Path, docker: Docker) -> None:
    wanted = images.images(checkout)
    docker.answers(PRESENT=" ".join(image.reference for image in wanted))

    built = images.build(checkout, wanted, pytest.fail)

    assert built == []
    assert not docker.calls.exists()


def test_what_is_missing_is_built_from_its_inputs_and_nothing_else(checkout: Path, docker: Docker) -> None:
    wanted = images.images(checkout)
    docker.answers(PRESENT=f"{wanted[0].reference} {wanted[2].reference}")
    said: list[str] = []

    built = images.build(checkout, wanted, said.append)

    assert built == [wanted[1]]
    assert len(said) == 1
    assert wanted[1].reference in said[0]
    with tarfile.open(docker.context) as context:
        packed = {member.name: context.extractfile(member).read() for member in context}
    assert packed["requirements.txt"] == (checkout / LOCKS["server"]).read_bytes()
    assert packed["Dockerfile"] == (checkout / DOCKERFILE).read_bytes()
    assert set(packed) == {"Dockerfile", "requirements.txt", "base.lock"}


def test_a_build_is_told_target_base_and_labels(checkout: Path, docker: Docker) -> None:
    for command in (["init", "-q"], ["remote", "add", "origin", "https://user:token@example.com/team/trains.git"]):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    wanted = images.images(checkout)

    images.build(checkout, wanted[:1], lambda line: None)

    words = docker.calls.read_text().splitlines()
    assert words[words.index("--target") + 1] == "flows"
    assert words[words.index("--tag") + 1] == wanted[0].reference
    assert {"BASE_IMAGE=debian:trixie-slim", f"PATCHED={patched()}"} <= set(words)
    assert "org.opencontainers.image.source=https://example.com/team/trains" in words
    assert "org.opencontainers.image.version=0.1.0" in words
    assert "org.opencontainers.image.revision=unknown" in words
    assert not any("token" in word for word in words)


@pytest.mark.parametrize(
    ("registry", "platform"), [("registry.example.com/trainyard", ["linux/amd64"]), (images.REGISTRY, [])]
)
def test_what_goes_to_a_registry_is_of_one_architecture_and_what_stays_here_of_this_machines(
    checkout: Path, docker: Docker, registry: str, platform: list[str]
) -> None:
    images.build(checkout, images.images(checkout, registry)[:1], lambda line: None)

    words = docker.calls.read_text().splitlines()
    assert [after for word, after in itertools.pairwise(words) if word == "--platform"] == platform


def patched() -> str:
    return re.findall(r"^PATCHED=(.*)$", (ROOT / BASE).read_text(), re.MULTILINE)[0]


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        ("https://example.com/team/trains.git", "https://example.com/team/trains"),
        ("https://oauth2:secret@example.com/team/trains", "https://example.com/team/trains"),
        ("git@example.com:team/trains.git", "https://example.com/team/trains"),
        ("ssh://git@example.com:2222/team/trains.git", "https://example.com/team/trains"),
        ("/somewhere/here", "unknown"),
        ("file:///somewhere/here", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_source_is_an_address_others_can_open_and_holds_no_secret(tmp_path: Path, origin, source) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    if origin:
        subprocess.run(["git", "remote", "add", "origin", origin], cwd=tmp_path, check=True)

    assert images.source(tmp_path) == source


def test_a_build_that_fails_is_told_with_the_end_of_its_log_and_the_whole_of_it_kept(checkout, docker: Docker) -> None:
    docker.answers(BUILT="1")
    image = images.images(checkout)[2]

    with pytest.raises(ImageError) as failure:
        images.build(checkout, [image], lambda line: None)

    log = checkout / ".trainyard" / "log" / "image-mlflow.log"
    assert str(failure.value).startswith(f"{image.reference} could not be built. The end of {log}:\nstep 1\nno route")
    assert str(failure.value).endswith("then run this again: it goes on there.")
    assert log.read_text() == "step 1\nno route to the index\n"


def test_without_docker_a_sentence_says_what_to_install(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ImageError, match=r"^there is no docker on PATH: install Docker, then run this again\.$"):
        images.build(checkout, images.images(checkout), pytest.fail)


def test_without_an_engine_a_sentence_says_to_start_it(checkout: Path, docker: Docker) -> None:
    docker.answers(ENGINE="1")

    with pytest.raises(ImageError, match=r"^Docker's engine does not answer \(no word why\)\. Start it, then run"):
        images.build(checkout, images.images(checkout), pytest.fail)


def test_tags_are_printed_without_docker(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    status = images.main(["--tags", "--registry", "example.com/x"])

    expected = [f"{image.name}={image.reference}" for image in images.images(ROOT, "example.com/x")]
    assert (status, capsys.readouterr().out.splitlines()) == (0, expected)


def test_an_error_is_one_sentence_and_the_exit_status_1(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    status = images.main([])

    assert status == 1
    assert capsys.readouterr().err == "trainyard: there is no docker on PATH: install Docker, then run this again.\n"


def archive(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def test_layers_are_weighed_and_what_describes_them_is_not() -> None:
    noise = os.urandom(3_000_000)
    saved = archive({"blobs/layer": archive({"a": noise, "b": bytes(5_000_000)}), "blobs/config": b"{}" * 5000})

    found = weigh(io.BytesIO(saved))

    assert found.unpacked == 8_000_000
    assert 3_000_000 < found.compressed < 3_050_000


def test_a_layer_that_the_engine_keeps_compressed_weighs_what_it_has() -> None:
    layer = gzip.compress(archive({"a": bytes(5_000_000)}))

    assert weigh(io.BytesIO(archive({"blobs/layer": layer}))) == Sizes(len(layer), 5_000_000)


def test_an_image_is_weighed_once(tmp_path: Path, docker: Docker, checkout: Path) -> None:
    program = tmp_path / "bin" / "docker"
    (tmp_path / "saved.tar").write_bytes(archive({"layer": archive({"a": bytes(1000)})}))
    program.write_text(
        f'#!/bin/sh\ncase $1 in image) echo sha256:1 ;; save) echo >>"$CALLS"; cat {tmp_path}/saved.tar ;; esac\n'
    )

    found = [images.image_facts.sizes(str(program), "x/y:z", tmp_path / "cache" / "sizes.json") for _ in range(2)]

    assert found[0].unpacked == 1000
    assert found[0] == found[1]
    assert docker.calls.read_text() == "\n"
