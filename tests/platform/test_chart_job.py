"""The Job of a flow run: what the worker makes of the chart's template and of the deployments in ``prefect.yaml``."""

import functools
from typing import Any

import pytest
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.schema_tools.validation import is_valid_schema, validate
from prefect.utilities.templating import find_placeholders
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from ops.chart import CHART
from ops.deploy import wanted
from ops.lint import prefect_yaml
from ops.lint.prefect_yaml import Entry
from tests.platform import chart, flow_run_job
from tests.platform.chart import IMAGES, ROOT, Object, Objects, every_case, quantity, requires_helm
from tests.platform.flow_run_job import AUTH_STRING, COMMIT, EVERY_VARIABLE, PAIR

pytestmark = requires_helm

FILLED_IN = {"$FLOWS_IMAGE": IMAGES["flows"], "$TRAINYARD_GIT_SHA": COMMIT, "revision.stdout": COMMIT}
"""What a deploy puts in place of the placeholders among the job variables of ``prefect.yaml``."""
DEPLOYMENTS = {
    entry.name: entry for entry in prefect_yaml.load(ROOT).entries if entry.config["work_pool"]["name"] == "kubernetes"
}
every_deployment = pytest.mark.parametrize("name", DEPLOYMENTS)


def variables(entry: Entry) -> dict[str, Any]:
    """The job variables of a deployment once it is deployed."""
    given: dict[str, Any] = entry.config["work_pool"]["job_variables"]
    return {key: filled_in(value) for key, value in given.items()}


def filled_in(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: filled_in(each) for key, each in value.items()}
    for placeholder in find_placeholders(value):
        value = value.replace(placeholder.full_match, FILLED_IN[placeholder.name or placeholder.full_match])
    return value


def deployed(name: str) -> Object:
    """The Job of a run of a deployment of ``prefect.yaml``."""
    entry = DEPLOYMENTS[name]
    return flow_run_job.job(chart.case("default"), variables(entry), entry.config["flow_name"], entry.config["name"])


def pod(job: Object) -> Object:
    found: Object = job["spec"]["template"]["spec"]
    return found


@every_case
def test_the_pools_template_is_one_that_prefect_takes(case: str) -> None:
    template = flow_run_job.template(chart.case(case))

    assert set(template) == {"job_configuration", "variables"}
    assert set(template["job_configuration"]) <= set(KubernetesWorkerJobConfiguration.model_fields)
    assert is_valid_schema(template["variables"], preprocess=False) is None


@every_case
def test_every_variable_is_used_and_every_placeholder_is_a_variable(case: str) -> None:
    template = flow_run_job.template(chart.case(case))

    used = {placeholder.name for placeholder in find_placeholders(template["job_configuration"])}
    assert used == set(template["variables"]["properties"]) == set(EVERY_VARIABLE)


@every_case
def test_every_variable_says_what_it_is_for(case: str) -> None:
    properties = flow_run_job.template(chart.case(case))["variables"]["properties"]

    assert {name for name, each in properties.items() if not (each.get("title") and each.get("description"))} == set()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"image": 1},
        {**PAIR, "commit": "main"},
        {**PAIR, "commit": COMMIT[:12]},
        {**PAIR, "deadline_seconds": "an hour"},
        {**PAIR, "tolerations": {"key": "dedicated"}},
        {**PAIR, "env": {"NOTE": {"valueFrom": {}}}},
    ],
)
def test_wrong_job_variables_are_refused_by_the_template(wrong: dict[str, Any]) -> None:
    schema = flow_run_job.template(chart.case("default"))["variables"]

    assert validate(PAIR, schema) == []
    assert validate(wrong, schema)


@every_deployment
def test_a_deployment_gives_an_image_a_commit_and_only_variables_that_the_template_has(name: str) -> None:
    given, schema = variables(DEPLOYMENTS[name]), flow_run_job.template(chart.case("default"))["variables"]

    assert given["image"] == IMAGES["flows"]
    assert given["commit"] == COMMIT
    assert set(given) <= set(schema["properties"])
    assert validate(given, schema) == []


@every_deployment
def test_job_and_pod_carry_flow_deployment_model_image_and_commit(name: str) -> None:
    flow, deployment = name.split("/")
    model = DEPLOYMENTS[name].config["parameters"].get("model")

    job = deployed(name)

    wanted = {
        "prefect.io/flow-name": flow,
        "prefect.io/deployment-name": deployment,
        "trainyard/image": "registry.example.org-trainyard-flows-0123456789ab",
        "trainyard/commit": COMMIT,
        "app.kubernetes.io/component": "job",
        "app.kubernetes.io/instance": "trainyard",
    } | ({"trainyard/model": model} if model else {})
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        assert {key: labels.get(key) for key in wanted} == wanted


@every_deployment
def test_of_an_image_by_digest_the_label_has_its_name_and_the_beginning_of_the_digest(name: str) -> None:
    image = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/trainyard/flows@sha256:{'0123456789abcdef' * 4}"
    given = wanted.labelled({**variables(DEPLOYMENTS[name]), "image": image})

    job = flow_run_job.job(chart.case("default"), given)

    assert validate(given, flow_run_job.template(chart.case("default"))["variables"]) == []
    assert flow_run_job.container(job)["image"] == image
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        assert labels["trainyard/image"] == "flows-0123456789ab"


def test_what_labels_a_deployment_gives_itself_stay_beside_the_images() -> None:
    given = wanted.labelled({"image": f"flows@sha256:{'0' * 64}", "labels": {"team": "rides"}})

    assert given["labels"] == {"trainyard/image": "flows-000000000000", "team": "rides"}
    assert wanted.labelled(PAIR) == PAIR


@every_deployment
def test_a_jobs_deadline_is_longer_than_its_flows_timeout(name: str) -> None:
    flow = load_flow_from_entrypoint(str(DEPLOYMENTS[name].config["entrypoint"]))

    deadline = deployed(name)["spec"]["activeDeadlineSeconds"]

    assert flow.timeout_seconds is not None
    assert deadline >= flow.timeout_seconds + 300


def test_so_it_is_for_the_smoke_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / CHART / "files" / "bootstrap"))
    import bootstrap
    import smoke

    assert smoke.smoke.timeout_seconds
    assert smoke.smoke.timeout_seconds + 300 <= bootstrap.SMOKE_DEADLINE


@every_deployment
@pytest.mark.parametrize(
    "jobs",
    [
        {"cpuRequest": "2", "cpuLimit": "4"},
        {"cpuRequest": 1.5, "cpuLimit": 2},
        {"cpuRequest": "100m", "cpuLimit": "500m"},
    ],
    ids=["raised", "as numbers", "lowered"],
)
def test_whatever_the_values_give_runs_no_deployment_asks_for_more_than_it_may_use(
    name: str, jobs: dict[str, Any]
) -> None:
    job = flow_run_job.job(with_jobs(**jobs), variables(DEPLOYMENTS[name]))

    own = flow_run_job.container(job)["resources"]
    for kind, most in own["limits"].items():
        assert quantity(own["requests"][kind]) <= quantity(most)


@functools.cache
def with_jobs(**jobs: Any) -> Objects:
    """The chart with these values of ``jobs``."""
    return chart.render({"jobs": jobs})


@every_deployment
def test_a_run_clones_the_commit_it_is_labelled_with(name: str) -> None:
    job = deployed(name)

    assert flow_run_job.environment(chart.case("default"), job)["TRAINYARD_GIT_SHA"] == COMMIT
    assert flow_run_job.container(job)["image"] == IMAGES["flows"]


def test_a_job_is_not_tried_again_by_kubernetes_and_goes_after_its_time() -> None:
    spec = flow_run_job.job(chart.render({"jobs": {"ttlSeconds": 1209600}}), PAIR)["spec"]

    assert spec["backoffLimit"] == 0
    assert repr(spec["ttlSecondsAfterFinished"]) == "1209600"
    assert pod({"spec": spec})["restartPolicy"] == "Never"


def test_numbers_of_a_million_and_more_stay_integers() -> None:
    seconds = {"silenceSeconds": 2_000_000, "pendingSeconds": 3_000_000}
    objects = chart.render({"prefect": seconds, "worker": {"pollSeconds": 1_000_000, "concurrency": 4_000_000}})

    configuration = objects.configuration()
    assert configuration["silence_seconds"] == 2_000_000
    assert configuration["pending_seconds"] == 3_000_000
    assert configuration["pool"]["concurrency"] == 4_000_000
    (worker,) = objects.one("Deployment", "-worker")["spec"]["template"]["spec"]["containers"]
    assert {"name": "PREFECT_WORKER_QUERY_SECONDS", "value": "1000000"} in worker["env"]


def test_a_run_trains_with_as_many_threads_as_its_pod_may_use_processors() -> None:
    job = flow_run_job.job(chart.case("default"), PAIR)

    own = flow_run_job.container(job)
    (threads,) = (each for each in own["env"] if each["name"] == "TRAINYARD_THREADS")
    assert threads["valueFrom"] == {"resourceFieldRef": {"containerName": own["name"], "resource": "limits.cpu"}}
    assert own["resources"]["limits"]["cpu"] == "2"


def test_a_run_gets_what_its_deployment_asks_for() -> None:
    job = flow_run_job.job(chart.case("default"), EVERY_VARIABLE)

    own, its_pod = flow_run_job.container(job), pod(job)
    assert own["resources"] == {
        "requests": {"cpu": "1", "memory": "5Gi", "ephemeral-storage": "7Gi"},
        "limits": {"cpu": "3", "memory": "5Gi"},
    }
    assert its_pod["volumes"] == [{"name": "scratch", "emptyDir": {"sizeLimit": "7Gi"}}]
    assert its_pod["serviceAccountName"] == "trainer"
    assert its_pod["priorityClassName"] == "low"
    assert its_pod["nodeSelector"] == {"pool": "big"}
    assert its_pod["tolerations"] == EVERY_VARIABLE["tolerations"]
    assert (job["spec"]["activeDeadlineSeconds"], job["spec"]["ttlSecondsAfterFinished"]) == (40000, 60)
    assert job["metadata"]["generateName"] == "a-name-of-its-own-"
    assert job["metadata"]["labels"]["team"] == "rides"
    assert {"name": "NOTE", "value": "hello"} in own["env"]


def test_a_run_that_asks_for_nothing_gets_the_defaults_of_the_values() -> None:
    jobs = {"cpuRequest": "300m", "cpuLimit": 1, "memory": "3Gi", "scratch": "6Gi", "deadlineSeconds": 37000}

    job = flow_run_job.job(chart.render({"jobs": jobs}), PAIR)

    assert flow_run_job.container(job)["resources"] == {
        "requests": {"cpu": "300m", "memory": "3Gi", "ephemeral-storage": "6Gi"},
        "limits": {"cpu": "1", "memory": "3Gi"},
    }
    assert job["spec"]["activeDeadlineSeconds"] == 37000
    assert pod(job)["serviceAccountName"] == "trainyard-jobs"
    assert not {"priorityClassName", "nodeSelector", "tolerations"} & pod(job).keys()


@every_case
def test_secrets_reach_a_run_by_reference_only(case: str) -> None:
    job = flow_run_job.job(chart.case(case), PAIR)

    own = flow_run_job.container(job)
    referred = {each["name"] for each in own["env"] if "secretKeyRef" in each.get("valueFrom", {})}
    assert {"PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"} <= referred
    assert AUTH_STRING not in str(job)
    assert not [each for each in own["env"] if "value" in each and is_secret(each["name"])]


def is_secret(name: str) -> bool:
    return any(part in name for part in ("PASSWORD", "SECRET", "TOKEN", "AUTH_STRING", "API_KEY"))


@pytest.mark.parametrize(
    ("case", "secret", "token"),
    [("default", None, None), ("laptop", "trainyard-lake", None), ("everything elsewhere", "lake-keys", "git-token")],
)
def test_a_run_has_the_keys_of_the_lake_and_the_token_of_git_where_there_are_any(
    case: str, secret: str | None, token: str | None
) -> None:
    own = flow_run_job.container(flow_run_job.job(chart.case(case), PAIR))

    secrets = [source["secretRef"]["name"] for source in own["envFrom"] if "secretRef" in source]
    tokens = [each["valueFrom"]["secretKeyRef"] for each in own["env"] if each["name"] == "GIT_TOKEN"]
    assert secrets == ([secret] if secret else [])
    assert tokens == ([{"name": token, "key": "token"}] if token else [])


def test_images_of_a_private_registry_can_be_pulled() -> None:
    job = flow_run_job.job(chart.case("everything elsewhere"), PAIR)

    assert pod(job)["imagePullSecrets"] == [{"name": "registry-login"}]
