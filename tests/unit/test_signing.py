"""What provenance states, and whom a check without a key trusts."""

import subprocess
from pathlib import Path

import pytest

from ops import provenance, registry, signing
from ops.cosign import ISSUER, Cosign, NotVerified

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
    program = tmp_path / "cosign"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/told\necho "Error: no signatures found" >&2\nexit 1\n'
    )
    program.chmod(0o755)

    with pytest.raises(NotVerified) as error:
        Cosign(program, "", "https://github.com/team/trainyard").verify("one@sha256:1")

    told = (tmp_path / "told").read_text().splitlines()
    pattern = told[told.index("--certificate-identity-regexp") + 1]
    assert told[told.index("--certificate-oidc-issuer") + 1] == ISSUER
    assert pattern == (r"^https://github\.com/team/trainyard/\.github/workflows/[\w.-]+@refs/(heads/main|tags/v.+)$")
    assert str(error.value) == (
        "one@sha256:1 is not vouched for by a workflow of https://github.com/team/trainyard on main or a tag: "
        "no signatures found"
    )


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
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "ERROR: {said}" >&2\nexit 1\n')
    docker.chmod(0o755)

    with pytest.raises(registry.RegistryError, match=sentence):
        registry.digest(str(docker), "host/flows:abc")


def test_neither_registry_nor_image_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert signing.main(["verify"]) == 1
    assert "neither REGISTRY nor IMAGE is given" in capsys.readouterr().err
