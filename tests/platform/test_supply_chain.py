"""From a checkout to a registry: pushed once, signed, with provenance and materials, and verified; with a local key."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import go_programs, images, registry, signing
from ops.cosign import Cosign, NotSigned, NotVerified
from ops.go_programs import ProgramMissing
from ops.registry import RegistryError, Stored
from tests.platform import supply_chain

REPOSITORY = "https://github.com/team/trainyard"


@pytest.fixture(scope="module")
def docker() -> str:
    return supply_chain.require_docker()


@pytest.fixture(scope="module")
def cosign() -> Path:
    try:
        return go_programs.find(go_programs.COSIGN, go_programs.cache_folder(), print)
    except ProgramMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def prefix(docker: str) -> Iterator[str]:
    with supply_chain.registry(docker) as address:
        yield address


@pytest.fixture(autouse=True)
def no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_PASSWORD", "")


@pytest.fixture(scope="module")
def root(docker: str, prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    checkout = supply_chain.checkout(tmp_path_factory.mktemp("checkout"))
    yield checkout
    supply_chain.remove_images(docker, checkout, prefix)


@pytest.fixture(scope="module")
def pushed(root: Path, prefix: str) -> list[Stored]:
    return registry.push(root, images.images(root, prefix), print)


@pytest.fixture(scope="module")
def keys(cosign: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return supply_chain.keys(cosign, tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def public(cosign: Path, keys: tuple[str, str]) -> Cosign:
    return Cosign(cosign, keys[1], REPOSITORY)


@pytest.fixture(scope="module")
def signed(
    root: Path, prefix: str, pushed: list[Stored], cosign: Path, keys: tuple[str, str], public: Cosign
) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COSIGN_PASSWORD", "")
        return signing.sign(root, prefix, Cosign(cosign, keys[0], REPOSITORY), keys[1], print)


def test_what_the_registry_lacks_is_pushed_and_known_by_its_digest(docker: str, pushed: list[Stored]) -> None:
    assert [one.pushed for one in pushed] == [True] * 3
    for one in pushed:
        asked = ["docker", "buildx", "imagetools", "inspect", one.pinned]
        assert one.digest in subprocess.run(asked, check=True, capture_output=True, text=True).stdout


def test_what_the_registry_has_is_neither_built_nor_pushed(root: Path, prefix: str, pushed: list[Stored]) -> None:
    again = registry.push(root, images.images(root, prefix), pytest.fail)

    assert [(one.pinned, one.pushed) for one in again] == [(one.pinned, False) for one in pushed]


def test_a_change_of_one_lock_pushes_that_image_alone(
    docker: str, prefix: str, pushed: list[Stored], tmp_path: Path
) -> None:
    other = supply_chain.checkout(tmp_path)
    (other / images.LOCKS["server"]).write_text("# changed\n")

    found = registry.push(other, images.images(other, prefix), print)

    supply_chain.remove_images(docker, other, prefix, "server")
    assert {one.name: one.pushed for one in found} == {"flows": False, "server": True, "mlflow": False}


def test_a_registry_that_does_not_answer_is_a_sentence(docker: str) -> None:
    with pytest.raises(RegistryError, match=r"^127\.0\.0\.1:1 does not answer for 127\.0\.0\.1:1/flows:tag"):
        registry.digest(docker, "127.0.0.1:1/flows:tag")


def test_what_was_pushed_is_signed_and_then_verified_with_its_origin(
    root: Path, prefix: str, pushed: list[Stored], signed: list[str], public: Cosign
) -> None:
    told = signing.verify_own(root, prefix, public)

    commit = supply_chain.git(root, "rev-parse", "HEAD")[:12]
    assert [line.partition(": ")[0] for line in told] == [one.pinned for one in pushed]
    assert all(f"built from {commit} by https://localhost/workstation" in line for line in told)


def test_the_bill_of_materials_is_attested(pushed: list[Stored], signed: list[str], public: Cosign) -> None:
    (materials,) = public.attested(pushed[0].pinned, signing.MATERIALS)

    assert [part["purl"] for part in materials["components"]] == ["pkg:pypi/boto3@1.43.0"]


def test_what_is_signed_is_not_signed_again(
    root: Path, prefix: str, signed: list[str], cosign: Path, keys: tuple[str, str]
) -> None:
    again = signing.sign(root, prefix, Cosign(cosign, "no such key", REPOSITORY), keys[1], pytest.fail)

    assert all(line.endswith(": was signed") for line in again)


def test_another_key_vouches_for_nothing(pushed: list[Stored], signed: list[str], cosign: Path, tmp_path: Path) -> None:
    _, other = supply_chain.keys(cosign, tmp_path)

    with pytest.raises(NotVerified, match="is not vouched for by the key"):
        signing.verify(pushed[0].pinned, Cosign(cosign, other, REPOSITORY))


def test_a_signature_alone_is_not_enough(
    docker: str, prefix: str, cosign: Path, keys: tuple[str, str], public: Cosign
) -> None:
    pinned = strange(docker, prefix)
    Cosign(cosign, keys[0], REPOSITORY).sign(pinned)

    with pytest.raises(NotVerified, match="none of the attestations matched"):
        signing.verify(pinned, public)


def test_an_image_of_other_files_than_the_checkouts_is_refused(
    root: Path, prefix: str, signed: list[str], public: Cosign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.provenance.inputs", lambda root, name: {"docker/Dockerfile": "0" * 64})

    with pytest.raises(NotVerified, match="built from other files"):
        signing.verify_own(root, prefix, public)


def test_an_unsigned_image_that_came_some_other_way_is_not_signed(
    docker: str, prefix: str, pushed: list[Stored], cosign: Path, keys: tuple[str, str], tmp_path: Path
) -> None:
    other = supply_chain.checkout(tmp_path)
    (other / images.LOCKS["flows"]).write_text("# from elsewhere\n")
    (image, *_) = images.images(other, prefix)
    subprocess.run([docker, "tag", "debian:trixie-slim", image.reference], check=True)
    subprocess.run([docker, "push", "--quiet", image.reference], check=True, capture_output=True)

    with pytest.raises(NotSigned, match=r"It was not pushed from here.*remove .*/flows:"):
        signing.sign(other, prefix, Cosign(cosign, keys[0], REPOSITORY), keys[1], print)
    supply_chain.remove_images(docker, other, prefix, "flows")


def test_an_image_that_is_not_there_is_a_sentence(prefix: str, public: Cosign, tmp_path: Path) -> None:
    other = supply_chain.checkout(tmp_path)
    (other / images.LOCKS["flows"]).write_text("# never pushed\n")

    with pytest.raises(RegistryError, match="Build and push it first"):
        signing.verify_own(other, prefix, public)


def strange(docker: str, prefix: str) -> str:
    """An image in the registry that no checkout knows, by its digest."""
    reference = f"{prefix}/strange:1"
    subprocess.run([docker, "tag", "debian:trixie-slim", reference], check=True)
    subprocess.run([docker, "push", "--quiet", reference], check=True, capture_output=True)
    found = registry.digest(docker, reference)
    subprocess.run([docker, "rmi", reference], check=True, capture_output=True)
    assert found
    return registry.pin(reference, found)
