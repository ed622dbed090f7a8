"""What provenance states, and whom a check without a key trusts."""

import base64
import json
import subprocess
from pathlib import Path

import pytest

from ops import images, provenance, registry, signing
from ops.cosign import ISSUER, Cosign, NotVerified
from ops.environment import Place
from tests.platform import supply_chain
from tests.unit import stand_ins

WORKFLOWS = r"^https://github\.com/team/trainyard/\.github/workflows/[\w.-]+@refs/(heads/main|tags/v.+)$"
BY_WORKFLOW = ["--certificate-identity-regexp", WORKFLOWS, "--certificate-oidc-issuer", ISSUER]
ROOT = Path(__file__).resolve().parents[2]
RUN = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "team/trainyard",
    "GITHUB_WORKFLOW_REF": "team/trainyard/.github/workflows/deploy.yaml@refs/heads/main",
    "GITHUB_RUN_ID": "12",
    "GITHUB_RUN_ATTEMPT": "2",
}


def test_provenance_states_commit_files_and_run() -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)

    stated = provenance.predicate(ROOT, "flows", RUN)

    assert provenance.stated_commit(stated).startswith(head.stdout.strip())
    assert provenance.stated_inputs(stated) == provenance.inputs(ROOT, "flows")
    assert set(provenance.inputs(ROOT, "flows")) == {
        "docker/Dockerfile",
        "docker/base.lock",
        "flows/requirements.txt",
    }
    assert stated["runDetails"] == {
        "builder": {"id": "https://github.com/team/trainyard/.github/workflows/deploy.yaml@refs/heads/main"},
        "metadata": {"invocationId": "https://github.com/team/trainyard/actions/runs/12/attempts/2"},
    }


def test_a_workstation_says_that_it_is_one() -> None:
    assert provenance.predicate(ROOT, "flows", {})["runDetails"]["builder"]["id"] == provenance.WORKSTATION


def test_without_a_key_only_this_repositorys_workflows_on_main_and_tags_are_trusted(tmp_path: Path) -> None:
    script = f'printf "%s\\n" "$@" >{tmp_path}/told\necho "Error: no signatures found" >&2\nexit 1'
    program = stand_ins.put(tmp_path, "cosign", script)

    with pytest.raises(NotVerified) as error:
        Cosign(program, "", "https://github.com/team/trainyard").verify("one@sha256:1")

    told = (tmp_path / "told").read_text().splitlines()
    pattern = told[told.index("--certificate-identity-regexp") + 1]
    assert told[told.index("--certificate-oidc-issuer") + 1] == ISSUER
    assert pattern == WORKFLOWS
    assert str(error.value) == (
        "one@sha256:1 is not vouched for by a workflow of https://github.com/team/trainyard on main or a tag: "
        "no signatures found"
    )


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workflow that has pushed the images of its checkout; docker and cosign are stand-ins."""
    root, programs = supply_chain.checkout(tmp_path / "checkout"), tmp_path / "programs"
    programs.mkdir()
    inventory = f"[ $1 = run ] && cat <<'EOF'\n{supply_chain.INVENTORY}\nEOF"
    stand_ins.put(programs, "docker", f"[ $1 = buildx ] && echo sha256:1\n{inventory}\nexit 0")
    attested = json.dumps({"predicate": provenance.predicate(root, "flows", RUN)}).encode()
    (tmp_path / "statement").write_text(json.dumps({"payload": base64.b64encode(attested).decode()}))
    stand_ins.put(
        programs,
        "cosign",
        f"""printf '%s\\n' "$@" "" >>{tmp_path}/told
case $1 in
  verify*) [ -e {tmp_path}/signed ] || exit 1; cat {tmp_path}/statement ;;
esac""",
    )
    monkeypatch.setattr(signing, "here", lambda: Place(root))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    stand_ins.first_on_path(programs, monkeypatch)
    pinned = [registry.pin(each.reference, "sha256:1") for each in images.images(root, "host/team")]
    monkeypatch.setattr(registry, "pushed_here", lambda _: frozenset(pinned))
    return tmp_path


def told(workflow: Path) -> list[list[str]]:
    """Every command that cosign got; the name of a file in the place of its path."""
    commands = [each.splitlines() for each in (workflow / "told").read_text().split("\n\n") if each]
    return [[Path(word).name if word.startswith("/") else word for word in command] for command in commands]


def test_in_a_workflow_it_is_the_workflows_identity_that_signs(workflow: Path) -> None:
    status = signing.main(["sign", "--registry", "host/team"])

    pinned = "host/team/flows@sha256:1"
    assert status == 0
    assert [command for command in told(workflow) if command[-1] == pinned] == [
        ["verify", *BY_WORKFLOW, pinned],
        ["attest", "--yes", "--type", "slsaprovenance1", "--predicate", "provenance.json", pinned],
        ["attest", "--yes", "--type", "cyclonedx", "--predicate", "sbom.json", pinned],
        ["sign", "--yes", pinned],
    ]
    assert f"- `{pinned}`: signed, with provenance and bill of materials" in (workflow / "summary.md").read_text()


def test_in_a_workflow_a_workflow_of_this_repository_is_believed_and_no_key(workflow: Path) -> None:
    (workflow / "signed").touch()

    status = signing.main(["verify", "--image", "host/team/flows:abc"])

    pinned = "host/team/flows@sha256:1"
    assert status == 0
    assert told(workflow) == [
        ["verify", *BY_WORKFLOW, pinned],
        ["verify-attestation", *BY_WORKFLOW, "--type", "cyclonedx", pinned],
        ["verify-attestation", *BY_WORKFLOW, "--type", "slsaprovenance1", pinned],
    ]


def test_a_reference_by_tag_becomes_one_by_digest() -> None:
    assert registry.pin("host:5000/team/flows:abc", "sha256:1") == "host:5000/team/flows@sha256:1"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("unexpected status from HEAD request: 401 Unauthorized", "Log in to it: docker login host"),
        ("denied: requested access to the resource is denied", "Log in to it: docker login host"),
        ("dial tcp: lookup host: no such host", "Check REGISTRY and the network"),
        ("docker: unknown command: docker buildx", "Install the plugin docker-buildx"),
    ],
)
def test_a_registry_that_refuses_or_is_not_there_is_told_apart(tmp_path: Path, said: str, sentence: str) -> None:
    docker = stand_ins.put(tmp_path, "docker", f'echo "ERROR: {said}" >&2\nexit 1')

    with pytest.raises(registry.RegistryError, match=sentence):
        registry.digest(str(docker), "host/flows:abc")


@pytest.mark.parametrize("name", ["", " "])
def test_images_are_pushed_to_no_registry_without_a_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert registry.main([name]) == 1
    assert capsys.readouterr().err == (
        "trainyard: REGISTRY is empty. Say where the images go: make push-images REGISTRY=<host>/<path>.\n"
    )


def test_neither_registry_nor_image_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert signing.main(["verify"]) == 1
    assert "neither REGISTRY nor IMAGE is given" in capsys.readouterr().err
