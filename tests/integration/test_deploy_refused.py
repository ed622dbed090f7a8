"""What a deploy refuses, each with a sentence, and with nothing touched."""

import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from prefect.client.schemas.actions import WorkPoolCreate

from ops import images, registry
from ops.deploy import NotDeployed, deploying, records, require_published
from ops.s3_servers import free_ports
from tests.integration.deploy_project import NIGHTLY, POOL, Project, entry, project, server
from tests.integration.servers import at
from tests.platform import supply_chain


@pytest.fixture(scope="module")
def own(platform: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One for all tests, of which none may change what is deployed, but for the last ones."""
    with server(platform) as client, project(client, tmp_path_factory.mktemp("project")) as found:
        found.deploy(entry("greet"))
        yield found


def nothing_happened(own: Project, objects: set[str]) -> bool:
    return own.names() == {"greet/it"} and set(own.lake.keys()) == objects


UNSOUND = [
    ([entry("greet", schedules=[{**NIGHTLY, "cron": "at night"}])], "schedules: cron: .*Invalid cron.*Mend it"),
    ([entry("greet", schedulez=[])], "unknown key `schedulez`"),
    ([entry("greet", parameters={"time": 1})], "the flow has no `time`; did you mean `times`"),
    ([entry("greet", entrypoint="flows/nowhere.py:greet")], "there is no such file"),
    ([entry("greet", schedules=[{"cron": "0 3 * * *"}])], "a schedule has no slug.*Give it one"),
    ([entry("greet", schedules=[{"rrule": "FREQ=DAILY", "slug": "a"}])], "the rrule has no DTSTART"),
    ([entry("greet", triggers=[{"enabled": True}])], "a deploy does not apply `triggers`"),
    ([entry("greet", parameters={"model": "{{ prefect.variables.m }}"})], "fills in no block or variable"),
]
"""What a file may say that no server is needed to refuse, and why it is refused."""


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        *UNSOUND,
        ([entry("greet", job_variables={"gpu": "1"})], "the job variable `gpu`, which the installed chart does not"),
    ],
)
def test_a_file_that_cannot_be_applied_is_refused(own: Project, entries: list[dict[str, Any]], sentence: str) -> None:
    objects = set(own.lake.keys())

    with pytest.raises(NotDeployed, match=f"(?s){sentence}"):
        own.deploy(*entries)

    assert nothing_happened(own, objects)


def test_an_address_that_holds_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(NotDeployed, match="holds a user or a password") as refused:
        require_published("0" * 40, "https://ann:not-a-secret@git.example.org/trips.git")

    assert "not-a-secret" not in str(refused.value)


@pytest.mark.parametrize(("entries", "sentence"), UNSOUND)
def test_an_unsound_file_is_refused_before_any_server_is_asked(
    own: Project, entries: list[dict[str, Any]], sentence: str
) -> None:
    own.write(*entries)

    with at({**own.env, "PREFECT_API_URL": "http://127.0.0.1:1/api"}), pytest.raises(NotDeployed, match=sentence):
        deploying.check(own.root)


def test_a_sound_file_is_said_to_be_one(own: Project) -> None:
    own.write(entry("greet"), entry("come"))

    assert deploying.check(own.root) == f"prefect.yaml is sound: 2 deployments of the pool {POOL}"


def test_a_flow_that_does_not_import_is_refused(own: Project) -> None:
    (own.root / "flows" / "broken.py").write_text("import no_such_module\n")
    objects = set(own.lake.keys())

    with pytest.raises(NotDeployed, match=r"entrypoint flows/broken\.py:broken: .*No module named"):
        own.deploy(entry("greet"), entry("broken"))

    assert nothing_happened(own, objects)


def test_a_commit_that_is_not_pushed_and_a_file_that_is_not_committed_are_refused(own: Project) -> None:
    own.write(entry("greet", tags=["b"]))
    with pytest.raises(NotDeployed, match=r"does not give out commit .* Push it there first"):
        own.deploy()
    (own.root / "flows" / "new.py").write_text("")

    with pytest.raises(NotDeployed, match=r"1 files differ .*flows/new\.py"):
        own.deploy()

    own.push(entry("greet"))


def test_a_rollback_to_a_commit_that_was_never_deployed_names_those_that_were(own: Project) -> None:
    commit = records.get(own.lake, 1).commit

    with pytest.raises(
        NotDeployed, match=f"no record of a deploy of commit abcdef0. The last ones deployed: {commit[:12]}"
    ):
        own.rollback("abcdef0")
    with pytest.raises(NotDeployed, match="'yesterday' is neither `previous` nor 7 to 40 hex digits"):
        own.rollback("yesterday")
    with pytest.raises(NotDeployed, match="no record of an earlier deploy to return to"):
        own.rollback()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"PREFECT_API_URL": "http://127.0.0.1:1/api"}, "Prefect at .* does not answer .*correct PREFECT_API_URL"),
        ({"PREFECT_API_URL": ""}, "PREFECT_API_URL is not set"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "no answer .*Check that S3 runs"),
        ({"TRAINYARD_LAKE_BUCKET": ""}, "TRAINYARD_LAKE_BUCKET is not set"),
        ({"TRAINYARD_LAKE_BUCKET": "no-such-bucket"}, "there is no bucket 'no-such-bucket'"),
    ],
)
def test_a_server_that_is_away_is_told_before_anything_is_touched(
    own: Project, changed: dict[str, str], sentence: str
) -> None:
    objects = set(own.lake.keys())
    own.push(entry("greet"), entry("come"))

    with at({**own.env, **changed}), pytest.raises(Exception, match=sentence):
        own.deploy()

    assert nothing_happened(own, objects)


@pytest.fixture(scope="module")
def prefix() -> Iterator[str]:
    """What references to a registry on loopback begin with."""
    with supply_chain.registry(supply_chain.require_docker()) as found:
        yield found


@pytest.fixture(scope="module")
def image(prefix: str) -> str:
    """An image that the registry alone has."""
    reference = f"{prefix}/flows:one"
    for argv, given in (
        (["build", "--quiet", f"--tag={reference}", "-"], "FROM scratch\nLABEL a=b\n"),
        (["push", "--quiet", reference], ""),
        (["rmi", "--force", reference], ""),
    ):
        subprocess.run(["docker", *argv], input=given, check=True, text=True, capture_output=True)
    return reference


def test_an_image_is_deployed_by_the_digest_that_its_registry_has(own: Project, image: str) -> None:
    own.deploy(entry("greet"), image=image, trust_image=False)

    found = own.there("greet/it")
    assert found
    name = image.removesuffix(":one")
    pinned = found.job_variables["image"]
    assert pinned == f"{name}@{registry.digest(images.engine(), image)}"
    assert pinned.startswith(f"{name}@sha256:")
    label = f"{name.rpartition('/')[2]}-{pinned.partition('@sha256:')[2][:12]}"
    assert found.job_variables["labels"] == {"trainyard/image": label}
    assert registry.pinned(images.engine(), pinned) == pinned


def test_an_image_that_is_in_no_registry_is_refused(own: Project, prefix: str, image: str) -> None:
    objects = set(own.lake.keys())

    with pytest.raises(NotDeployed, match=r"the registry has no image .*flows:two. Build and push it first"):
        own.deploy(image=image.replace(":one", ":two"), trust_image=False)
    with pytest.raises(NotDeployed, match=r"the registry has no image .*other:one"):
        own.deploy(image=f"{prefix}/other:one", trust_image=False)

    assert nothing_happened(own, objects)


def test_a_registry_that_is_away_is_told_and_not_taken_for_one_without_the_image(own: Project, image: str) -> None:
    with pytest.raises(NotDeployed, match=r"does not answer for .*--trust-image"):
        own.deploy(image=f"localhost:{free_ports(1)[0]}/flows:one", trust_image=False)


def test_a_platform_without_the_pool_is_refused(own: Project) -> None:
    objects, template = set(own.lake.keys()), own.client.read_work_pool(POOL).base_job_template
    own.client.delete_work_pool(POOL)
    try:
        with pytest.raises(NotDeployed, match=f"has no work pool `{POOL}`. The platform's bootstrap Job makes it"):
            own.deploy(entry("greet"))
        assert set(own.lake.keys()) == objects
    finally:
        own.client.create_work_pool(WorkPoolCreate(name=POOL, type="kubernetes", base_job_template=template))
