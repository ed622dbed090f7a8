"""Secrets: made once and kept, never seen outside of a Secret."""

import base64
import json
import re

import pytest

from tests.platform import chart, flow_run_job
from tests.platform.chart import Objects, every_case, requires_helm

pytestmark = requires_helm

SECRET_KEYS = {"auth-string", "password", "secret-key", "AWS_SECRET_ACCESS_KEY"}
NAMES = {"username", "AWS_ACCESS_KEY_ID"}
"""What stands in Secrets beside secrets: who one is, which a log may say."""
GENERATED = {
    "default": {"trainyard-prefect-auth", "trainyard-mlflow-auth"},
    "laptop": {"trainyard-prefect-auth", "trainyard-mlflow-auth", "trainyard-lake"},
    "kind": {"trainyard-prefect-auth", "trainyard-mlflow-auth", "trainyard-lake"},
    "everything elsewhere": set(),
    "every option": set(),
    "on postgres": {"trainyard-prefect-auth", "trainyard-mlflow-auth"},
}


def secrets(objects: Objects) -> dict[str, str]:
    """What must not be seen, by the Secret and the key it stands in; of ``user:password`` the password."""
    return {
        f"{found['metadata']['name']}.{key}": base64.b64decode(value).decode().rpartition(":")[2]
        for found in objects.of("Secret")
        for key, value in found["data"].items()
        if key not in NAMES
    }


def leaks(texts: dict[str, str], hidden: dict[str, str]) -> set[tuple[str, str]]:
    """Which secret is to be seen in which text, as it is or in base64 at any offset."""
    return {
        (place, name)
        for place, text in texts.items()
        for name, secret in hidden.items()
        if any(form in text for form in forms(secret))
    }


def forms(secret: str) -> list[str]:
    """A secret as it is, and what is always in its base64, whatever stands before and behind it."""
    shifted = (base64.b64encode(b"." * shift + secret.encode()).decode() for shift in range(3))
    return [secret, *(code[4:-4] for code in shifted)]


def seen(objects: Objects) -> dict[str, str]:
    """Everything of an installation that is no Secret, by kind and name."""
    return {
        f"{each['kind']}/{each['metadata']['name']}": json.dumps(each) for each in objects if each["kind"] != "Secret"
    }


@every_case
def test_secrets_are_made_where_none_is_given(case: str) -> None:
    objects = chart.case(case)

    assert {found["metadata"]["name"] for found in objects.of("Secret")} == GENERATED[case]


@every_case
def test_no_secret_is_seen_in_any_other_object_or_in_the_job_of_a_run(case: str) -> None:
    objects = chart.case(case)
    job = flow_run_job.job(objects, flow_run_job.EVERY_VARIABLE)

    found = leaks(seen(objects) | {"a run": json.dumps(job)}, secrets(objects) | {"worker": flow_run_job.AUTH_STRING})

    assert found == set()


@pytest.mark.parametrize("case", ["default", "laptop"])
def test_no_secret_is_seen_in_the_notes(case: str) -> None:
    profile, values = chart.CASES[case]

    said = chart.notes(values, profile)

    # Each rendering makes its own passwords; whatever is made has 32 letters and digits and more.
    assert re.findall(r"[A-Za-z0-9+=]{32,}", said) == []


def test_a_secret_that_is_planted_is_found() -> None:
    objects = chart.render({}, "laptop")
    hidden = secrets(objects)
    (name, secret), *_ = hidden.items()
    inside = base64.b64encode(f"login: {secret}!".encode()).decode()

    found = leaks({"plain": f"url: http://admin:{secret}@host", "encoded": inside, "clean": "nothing"}, hidden)

    assert found == {("plain", name), ("encoded", name)}


def test_generated_secrets_are_long_and_never_the_same() -> None:
    first, second = (secrets(chart.render({}, "laptop")) for _ in range(2))

    assert {name.rpartition(".")[2] for name in first} == SECRET_KEYS
    assert min(map(len, first.values())) >= 32
    assert not set(first.values()) & set(second.values())


@every_case
def test_what_holds_data_or_the_key_to_it_outlives_the_release(case: str) -> None:
    objects = chart.case(case)

    kept = objects.of("Secret") + objects.of("PersistentVolumeClaim")

    assert {each["metadata"]["annotations"].get("helm.sh/resource-policy") for each in kept} <= {"keep"}


@every_case
def test_volumes_are_those_of_the_servers_that_are_installed(case: str) -> None:
    objects = chart.case(case)

    volumes = {each["metadata"]["name"] for each in objects.of("PersistentVolumeClaim")}

    without = {"trainyard-worker", *(["trainyard-mlflow"] if case == "on postgres" else [])}
    assert volumes == {each["metadata"]["name"] for each in objects.of("Deployment")} - without
