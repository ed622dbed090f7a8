"""The bill of materials of what is installed, and what a change of the locks comes to."""

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from ops import sbom, sbom_diff
from ops.environment import Place
from ops.sbom import NotListed
from tests.unit import stand_ins

ROOT = Path(__file__).resolve().parents[2]
HELD = {
    "python": [{"name": "boto3", "version": "1.43.0", "licence": "Apache-2.0"}],
    "debian": [{"name": "libc6", "version": "2.41-12", "arch": "amd64"}],
}


@pytest.fixture(scope="module")
def written() -> str:
    return sbom.as_json(sbom.of_environment())


def test_it_is_valid_cyclonedx(written: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written) is None


def test_what_is_installed_is_what_is_locked(written: str) -> None:
    listed = {part["name"]: part["version"] for part in json.loads(written)["components"]}
    locked = sbom_diff.pins((ROOT / "tests" / "requirements.txt").read_text())

    listed.pop("pip", None)  # it comes with Python where uv did not make the environment
    assert {name: version for name, version in listed.items() if locked.get(name) != version} == {}


def test_every_package_has_an_address_that_scanners_know(written: str) -> None:
    parts = json.loads(written)["components"]

    assert all(part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}" for part in parts)
    assert {"prefect", "mlflow", "boto3"} <= {part["name"] for part in parts}


def test_an_environment_that_cannot_be_read_is_a_sentence() -> None:
    with pytest.raises(NotListed, match="could not be read"):
        sbom.of_environment("false")


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker with one image, in which that is installed; what it was told to run."""
    told = tmp_path / "told"
    script = f"[ $1 = run ] || exit 0\nprintf '%s\\n' \"$@\" >{told}\ncat {tmp_path}/held"
    stand_ins.put(tmp_path, "docker", f"case \"$*\" in *absent*) echo 'No such image' >&2; exit 125;; esac\n{script}")
    stand_ins.first_on_path(tmp_path, monkeypatch)
    (tmp_path / "held").write_text(json.dumps(HELD))
    monkeypatch.setattr(sbom, "here", lambda: Place(tmp_path))
    return told


def test_of_an_image_it_lists_debians_packages_as_well(
    tmp_path: Path, docker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = sbom.main(["--image", "trainyard/flows:abc"])

    written = tmp_path / ".trainyard/sbom/flows-abc.cdx.json"
    found = json.loads(written.read_text())
    assert (status, capsys.readouterr().out) == (0, f"2 packages in {written}\n")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written.read_text()) is None
    assert {part["purl"] for part in found["components"]} == {
        "pkg:pypi/boto3@1.43.0",
        "pkg:deb/debian/libc6@2.41-12?arch=amd64",
    }
    image = found["metadata"]["component"]
    assert (image["type"], image["name"], image["version"]) == ("container", "trainyard/flows", "abc")


def test_an_image_is_asked_where_it_can_harm_nothing_and_is_not_fetched(docker: Path) -> None:
    sbom.of_image("docker", "trainyard/flows:abc")

    told = docker.read_text().splitlines()
    assert {"--network=none", "--read-only", "--pull=never"} <= set(told[: told.index("trainyard/flows:abc")])
    assert told[-1] == "debian"


def test_an_image_that_the_engine_has_not_is_a_sentence(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sbom.main(["--image", "trainyard/absent:abc"]) == 1
    assert "(No such image). Build or pull it first: make images." in capsys.readouterr().err


def test_a_lock_is_read_for_names_and_versions() -> None:
    lock = "boto3==1.43.0 \\\n    --hash=sha256:1\nuvloop==0.21.0 ; sys_platform != 'win32'\n# a==1\n"

    assert sbom_diff.pins(lock) == {"boto3": "1.43.0", "uvloop": "0.21.0"}


def test_a_change_names_the_locks_it_reaches() -> None:
    before = {"image flows": {"a": "1", "b": "1"}, "tests": {"a": "1", "b": "1"}}
    after = {"image flows": {"a": "2", "b": "1"}, "tests": {"a": "2", "c": "1"}}

    assert sbom_diff.changes(before, after) == {
        ("a", "1", "2"): ["image flows", "tests"],
        ("b", "1", ""): ["tests"],
        ("c", "", "1"): ["tests"],
    }


def test_the_page_says_what_is_new_gone_and_moved() -> None:
    found = {("a", "1", "2"): ["image flows"], ("b", "1", ""): ["tests"], ("c", "", "1"): ["tests"]}

    lines = sbom_diff.page(found, "abc", ("debian, 2026-01-01", "debian, 2026-02-01")).splitlines()

    assert "All images take Debian anew: debian, 2026-01-01 → debian, 2026-02-01." in lines
    assert lines[-3:] == ["| a | 1 | 2 | image flows |", "| b | 1 | gone | tests |", "| c | new | 1 | tests |"]


def test_no_change_is_a_sentence() -> None:
    assert "No package of any lock changes." in sbom_diff.page({}, "abc", ("same", "same"))
