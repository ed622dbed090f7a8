"""Who knocks at the platform's servers without their password, token or name is not let in."""

from collections.abc import Mapping
from typing import Any

import boto3
import httpx
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.cluster.platform import Platform

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("undisturbed")]

MODELS = "/api/2.0/mlflow/registered-models/search?max_results=1"
EXPERIMENT = "/api/2.0/mlflow/experiments/create"
VARIABLE = {"name": "from_another_page", "value": 1}


def ask(method: str, address: str, **given: Any) -> httpx.Response:
    """A request of its own: no cookie is kept. While a model is trained beside it, an answer may take its time."""
    return httpx.request(method, address, timeout=60, **given)


def prefect_login(cluster: Platform) -> tuple[str, str]:
    user, _, password = cluster.access.keys["PREFECT_API_AUTH_STRING"].partition(":")
    return user, password


def mlflow_login(cluster: Platform) -> tuple[str, str]:
    return cluster.access.keys["MLFLOW_TRACKING_USERNAME"], cluster.access.keys["MLFLOW_TRACKING_PASSWORD"]


def csrf(cluster: Platform) -> Mapping[str, str]:
    """The headers that a page of Prefect's own sends along."""
    found = ask(
        "GET", f"{cluster.access.prefect}/api/csrf-token?client=tests", auth=prefect_login(cluster)
    ).raise_for_status()
    return {"Prefect-Csrf-Token": found.json()["token"], "Prefect-Csrf-Client": "tests"}


@pytest.mark.parametrize("path", ["/flow_runs/filter", "/variables/filter", "/block_documents/filter", "/logs/filter"])
@pytest.mark.parametrize("login", [None, ("admin", "wrong")], ids=["none", "wrong"])
def test_prefect_answers_nobody_without_the_password(
    cluster: Platform, path: str, login: tuple[str, str] | None
) -> None:
    asked, page = f"{cluster.access.prefect}/api{path}", csrf(cluster)

    assert ask("POST", asked, json={}, auth=login, headers=page).status_code == 401
    assert ask("POST", asked, json={}, auth=prefect_login(cluster), headers=page).status_code == 200


def test_prefect_says_without_the_password_only_that_it_is_well(cluster: Platform) -> None:
    answers = {
        path: ask("GET", f"{cluster.access.prefect}/api{path}").status_code
        for path in ("/health", "/ready", "/admin/version", "/admin/settings", "/work_pools/kubernetes")
    }

    assert {path for path, status in answers.items() if status == 200} == {"/health", "/ready"}


def test_prefect_takes_no_change_from_another_page(cluster: Platform) -> None:
    asked = f"{cluster.access.prefect}/api/variables/"

    bare = ask("POST", asked, json=VARIABLE, auth=prefect_login(cluster))
    forged = ask(
        "POST",
        asked,
        json=VARIABLE,
        auth=prefect_login(cluster),
        headers={**csrf(cluster), "Prefect-Csrf-Token": "forged"},
    )

    assert (bare.status_code, forged.status_code) == (403, 403)
    with cluster.client() as client:
        assert client.read_variable_by_name("from_another_page") is None


def test_prefect_lets_only_pages_of_its_own_address_read_it(cluster: Platform) -> None:
    asked, health = f"{cluster.access.prefect}/api/health", {"Origin": "https://elsewhere.example.org"}

    foreign = ask("GET", asked, headers=health)
    own = ask("GET", asked, headers={"Origin": cluster.access.prefect})

    assert "access-control-allow-origin" not in foreign.headers
    assert own.headers["access-control-allow-origin"] == cluster.access.prefect


@pytest.mark.parametrize("login", [None, ("admin", "wrong"), ("admin", "password1234")], ids=["none", "wrong", "usual"])
def test_mlflow_answers_nobody_without_the_password(cluster: Platform, login: tuple[str, str] | None) -> None:
    asked = f"{cluster.access.mlflow}{MODELS}"

    assert ask("GET", asked, auth=login).status_code == 401
    assert ask("GET", asked, auth=mlflow_login(cluster)).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "trainyard-mlflow:5000",
        "trainyard-mlflow.trainyard:5000",
        "trainyard-mlflow.trainyard.svc:5000",
        "trainyard-mlflow.trainyard.svc.cluster.local:5000",
    ],
)
def test_mlflow_answers_under_the_names_it_has_in_the_cluster(cluster: Platform, host: str) -> None:
    answer = ask("GET", f"{cluster.access.mlflow}{MODELS}", auth=mlflow_login(cluster), headers={"Host": host})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    ["elsewhere.example.org", "trainyard-mlflow", "trainyard-mlflow:5001", "a.trainyard-mlflow:5000", "127.0.0.1"],
)
def test_mlflow_answers_under_no_other_name(cluster: Platform, host: str) -> None:
    answer = ask("GET", f"{cluster.access.mlflow}{MODELS}", auth=mlflow_login(cluster), headers={"Host": host})

    assert answer.status_code == 403


def test_mlflow_takes_no_change_from_another_page(cluster: Platform) -> None:
    asked, login = f"{cluster.access.mlflow}{EXPERIMENT}", mlflow_login(cluster)

    answer = ask(
        "POST",
        asked,
        json={"name": "from-another-page"},
        auth=login,
        headers={"Origin": "https://elsewhere.example.org"},
    )

    assert answer.status_code == 403


def test_the_lake_shows_nothing_to_whoever_has_no_key(cluster: Platform) -> None:
    anonymous = boto3.client("s3", config=Config(signature_version=UNSIGNED))
    wrong = boto3.client("s3", aws_access_key_id="trainyard", aws_secret_access_key="wrong")

    for client, code in ((anonymous, "AccessDenied"), (wrong, "SignatureDoesNotMatch")):
        with pytest.raises(ClientError, match=code):
            client.list_objects_v2(Bucket=cluster.access.bucket)
        with pytest.raises(ClientError, match=code):
            client.put_object(Bucket=cluster.access.bucket, Key="planted", Body=b"")
        with pytest.raises(ClientError, match=code):
            client.list_buckets()
