"""What each service account may do, held to a list."""

import pytest

from tests.platform import chart
from tests.platform.chart import NAMESPACE, Objects, every_case, requires_helm

pytestmark = requires_helm

RIGHTS = {
    "trainyard-worker": {
        "batch/jobs": {"create", "get", "list", "watch", "delete"},
        "/pods": {"get", "list", "watch"},
        "/pods/log": {"get"},
    },
    "trainyard-reconcile": {"batch/jobs": {"list", "delete"}},
    "trainyard-jobs": {},
    "trainyard-deploy": {},
    "trainyard-mlflow": {},
    "trainyard-roles": {},
}
"""By service account: the verbs for each kind of object, with its API group. All of it in the release's namespace."""


def rights(objects: Objects, account: str) -> dict[str, set[str]]:
    """What the Roles bound to a service account allow."""
    roles = {
        binding["roleRef"]["name"]
        for binding in objects.of("RoleBinding")
        for subject in binding["subjects"]
        if (subject["kind"], subject["name"], subject["namespace"]) == ("ServiceAccount", account, NAMESPACE)
    }
    allowed: dict[str, set[str]] = {}
    for role in objects.of("Role"):
        for rule in role["rules"] if role["metadata"]["name"] in roles else []:
            for kind in (f"{group}/{resource}" for group in rule["apiGroups"] for resource in rule["resources"]):
                allowed.setdefault(kind, set()).update(rule["verbs"])
    return allowed


@every_case
@pytest.mark.parametrize("account", RIGHTS)
def test_a_service_account_may_do_what_is_written_and_nothing_else(case: str, account: str) -> None:
    assert rights(chart.case(case), account) == RIGHTS[account]


@every_case
def test_no_service_account_is_without_a_line_in_the_list(case: str) -> None:
    accounts = {account["metadata"]["name"] for account in chart.case(case).of("ServiceAccount")}

    without = {"trainyard-mlflow"} if case == "everything elsewhere" else set()
    assert accounts == set(RIGHTS) - without - (set() if case == "on postgres" else {"trainyard-roles"})


@every_case
def test_rights_end_at_the_namespace_and_are_given_to_its_own_accounts(case: str) -> None:
    objects = chart.case(case)

    assert {each["kind"] for each in objects if each["apiVersion"].startswith("rbac.")} == {"Role", "RoleBinding"}
    assert {each["metadata"]["namespace"] for each in objects} == {NAMESPACE}
    subjects = [subject for binding in objects.of("RoleBinding") for subject in binding["subjects"]]
    assert {(subject["kind"], subject["namespace"]) for subject in subjects} == {("ServiceAccount", NAMESPACE)}
    assert {subject["name"] for subject in subjects} <= set(RIGHTS)


@every_case
def test_no_right_is_given_wholesale_or_over_secrets(case: str) -> None:
    rules = [rule for role in chart.case(case).of("Role") for rule in role["rules"]]

    named = {name for rule in rules for part in ("apiGroups", "resources", "verbs") for name in rule[part]}

    assert not {name for name in named if "*" in name or "secret" in name}
    assert not named & {"escalate", "bind", "impersonate", "pods/exec", "serviceaccounts/token"}


@every_case
def test_only_the_worker_gets_a_token(case: str) -> None:
    accounts = chart.case(case).of("ServiceAccount")

    assert {each["metadata"]["name"] for each in accounts if each.get("automountServiceAccountToken") is not False} == {
        "trainyard-worker"
    }
