"""Names that agree: within the chart, and between the chart, ``prefect.yaml``, the flows and the laptop's platform."""

import json
import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from mlflow.server.security_utils import should_block_cors_request
from prefect.client.schemas.worker_channel import CANCELLING_TIMEOUT_TEARDOWN
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import Settings
from prefect_kubernetes.worker import KubernetesWorker

from flows import resources
from flows.ml import settings
from ops import chart_values, environment, services
from ops.environment import Place, Ports
from ops.lint import prefect_yaml
from tests.platform import chart, flow_run_job, pod_security
from tests.platform.chart import ROOT, Object, Objects, every_case, requires_helm
from tests.platform.flow_run_job import COMMIT, PAIR

pytestmark = requires_helm

POOL = "kubernetes"
OF_ANOTHER_PLACE = {"AWS_ENDPOINT_URL", "MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME"}
"""What a laptop and a cluster both set, each to its own."""
OF_A_LAPTOP = {"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "PREFECT_CLI_PROMPT"}
"""What only a laptop needs: it has the user's own AWS profiles beside it, and a terminal."""


def run_environment(case: str) -> dict[str, str]:
    """What a flow run finds in its environment on the cluster; the number of threads as its pod would have it."""
    objects = chart.case(case)
    return {**flow_run_job.environment(objects, flow_run_job.job(objects, PAIR)), "TRAINYARD_THREADS": "2"}


def entrypoints() -> list[str]:
    return sorted({entry.config["entrypoint"] for entry in prefect_yaml.load(ROOT).entries})


@every_case
def test_the_pool_that_is_made_is_the_one_that_is_polled_and_deployed_to(case: str) -> None:
    objects = chart.case(case)
    (worker,) = objects.one("Deployment", "-worker")["spec"]["template"]["spec"]["containers"]
    options = dict(zip(worker["args"], worker["args"][1:], strict=False))
    pools = {entry.config["work_pool"]["name"] for entry in prefect_yaml.load(ROOT).entries}

    pool = objects.configuration()["pool"]

    assert (pool["name"], pool["type"]) == (POOL, "kubernetes")
    assert (options["--pool"], options["--type"]) == (POOL, "kubernetes")
    assert "--no-create-pool-if-not-found" in worker["args"]
    assert pools == {POOL, "local"}


@pytest.mark.parametrize("pool", ["local", "kubernetes"])
def test_what_operators_start_to_get_out_of_trouble_is_in_the_queue_that_waits_for_no_other_run(pool: str) -> None:
    bootstrap = (ROOT / "infra/helm/trainyard/files/bootstrap/bootstrap.py").read_text()
    (unlimited,) = re.findall(r'^OPERATORS = "(.+)"$', bootstrap, re.MULTILINE)
    queues = {
        entry.name.split("/")[0]: entry.config["work_pool"].get("work_queue_name", "default")
        for entry in prefect_yaml.load(ROOT).entries
        if entry.config["work_pool"]["name"] == pool
    }

    apart = {flow for flow, queue in queues.items() if queue != "default"}
    assert (apart, {queues[flow] for flow in apart}) == ({"promote", "reconcile"}, {unlimited})


def test_results_go_through_the_block_that_the_bootstrap_saves() -> None:
    bootstrap = (ROOT / "infra/helm/trainyard/files/bootstrap/bootstrap.py").read_text()
    (block,) = re.findall(r'^RESULTS_BLOCK = "(.+)"$', bootstrap, re.MULTILINE)

    assert f"s3-bucket/{block}" == resources.RESULTS_BLOCK


@every_case
def test_the_flows_settings_load_in_a_runs_environment(case: str) -> None:
    found = run_environment(case)

    with mock.patch.dict(os.environ, found, clear=True):
        loaded = settings.load()

    lake = chart.case(case).configuration()["lake"]
    assert (loaded.lake_bucket, loaded.lake_prefix) == (lake["bucket"], lake["prefix"])
    assert str(loaded.mlflow_tracking_uri).rstrip("/") == chart.case(case).configuration()["mlflow_url"]
    assert loaded.git_sha == COMMIT
    assert loaded.scratch == Path("/tmp")


def test_the_addresses_of_webhooks_come_from_their_secrets_by_the_names_that_are_read() -> None:
    objects = chart.case("every option")
    (bootstrap,) = (each for each in objects.of("Job") if each["metadata"]["name"].rpartition("-bootstrap")[1])
    (reconcile,) = objects.of("CronJob")
    pods = bootstrap["spec"]["template"]["spec"], reconcile["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    secret = [
        {each["name"] for each in container["env"] if "secretKeyRef" in each.get("valueFrom", {})}
        for (container,) in (pod["containers"] for pod in pods)
    ]

    source = (ROOT / "infra/helm/trainyard/files/bootstrap/notices.py").read_text()
    (notices,) = re.findall(r'^ADDRESS = "(.+)"$', source, re.MULTILINE)
    assert notices in secret[0]
    assert f"{settings.PREFIX}ALERT_WEBHOOK" in secret[1]
    assert "alert_webhook" in settings.Settings.model_fields


def test_people_are_led_to_mlflow_at_its_own_address() -> None:
    assert run_environment("every option")["TRAINYARD_MLFLOW_UI"] == "https://mlflow.example.org"


def test_a_lakes_prefix_is_taken_by_the_values_where_the_settings_take_it() -> None:
    schema = json.loads((ROOT / chart_values.SCHEMA).read_text())
    (wanted,) = (
        each.pattern for each in settings.Settings.model_fields["lake_prefix"].metadata if hasattr(each, "pattern")
    )

    assert schema["definitions"]["prefix"]["pattern"] == wanted


def test_a_run_on_the_cluster_finds_what_one_on_a_laptop_finds(tmp_path: Path) -> None:
    laptop, cluster = environment.settings(Place(tmp_path), Ports(1, 2, 3)), run_environment("laptop")

    both = set(laptop) - OF_A_LAPTOP
    assert both <= set(cluster)
    assert {name for name in both if laptop[name] != cluster[name]} == OF_ANOTHER_PLACE
    assert not OF_A_LAPTOP & set(cluster)


def test_the_servers_of_the_cluster_are_set_as_those_of_a_laptop(tmp_path: Path) -> None:
    laptop = {service.name: dict(service.env) for service in services.services(Place(tmp_path), Ports(1, 2, 3))}
    laptop["prefect"].pop("PREFECT_UI_API_URL")
    laptop["prefect"]["PYTHONPATH"] = "/etc/trainyard"

    for name in ("prefect", "mlflow"):
        (server,) = chart.case("laptop").one("Deployment", f"-{name}")["spec"]["template"]["spec"]["containers"]
        assert {each["name"]: each.get("value") for each in server["env"]}.items() >= laptop[name].items()


def test_prefect_ends_a_run_that_hangs_in_cancelling_with_its_job_before_an_automation_ends_it_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "infra/helm/trainyard/files/bootstrap"))
    import automations

    services = settings_of_prefect(chart.case("default")).server.services
    rights = chart.case("default").one("Role", "-worker")["rules"]

    assert services.cancellation_cleanup.enabled
    assert services.cancellation_cleanup.cancelling_timeout_seconds < automations.CANCELLING.total_seconds()
    assert KubernetesWorker(work_pool_name=POOL).handled_cleanup_kinds == (CANCELLING_TIMEOUT_TEARDOWN,)
    assert any("jobs" in rule["resources"] and "delete" in rule["verbs"] for rule in rights)


@pytest.mark.parametrize(("pending", "kept"), [(240, 300), (900, 960), (7200, 3600)])
def test_a_run_keeps_its_place_within_a_limit_for_as_long_as_its_pod_may_take_to_start(pending: int, kept: int) -> None:
    found = settings_of_prefect(chart.render({"prefect": {"pendingSeconds": pending}}))

    assert found.server.concurrency.initial_deployment_lease_duration == kept


def settings_of_prefect(objects: Objects) -> Settings:
    """What Prefect makes of the environment of its server."""
    (server,) = objects.one("Deployment", "-prefect")["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each["value"] for each in server["env"] if "value" in each}
    with mock.patch.dict(os.environ, given, clear=True):
        return Settings()


def test_the_guard_on_deadlines_knows_the_longest_flow() -> None:
    longest = max(load_flow_from_entrypoint(entry).timeout_seconds or 0 for entry in entrypoints())
    default = yaml.safe_load((ROOT / chart_values.VALUES).read_text())["jobs"]["deadlineSeconds"]

    with pytest.raises(chart.Refused, match=r"jobs\.deadlineSeconds"):
        chart.render({"jobs": {"deadlineSeconds": int(longest)}})

    assert chart.render({"jobs": {"deadlineSeconds": int(longest) + 1}})
    assert default >= longest + 600


@every_case
def test_the_smoke_flow_runs_in_the_image_of_the_flows_and_asks_for_what_the_pool_has(case: str) -> None:
    objects = chart.case(case)

    smoke = objects.configuration()["smoke"]

    assert smoke["image"] == chart.IMAGES["flows"]
    assert Path(smoke["code"]).name in objects.one("ConfigMap", "-bootstrap")["data"]


def test_what_helm_test_takes_for_applied_is_this_revision_with_these_values() -> None:
    default, other = chart.case("default"), chart.render({"worker": {"concurrency": 3}})

    assert applied(default, "Job", "-bootstrap-1") == applied(default, "Pod", "-test")
    assert applied(default, "Pod", "-test") != applied(other, "Pod", "-test")
    assert applied(other, "Pod", "-test").rpartition(".")[0] == "trainyard-bootstrap-1"


def applied(objects: Objects, kind: str, name: str) -> str:
    """What a pod that applies, or looks at what is applied, is told of it."""
    spec = objects.one(kind, name)["spec"]
    (container,) = spec.get("template", {}).get("spec", spec)["containers"]
    (found,) = (each["value"] for each in container["env"] if each["name"] == "BOOTSTRAP")
    return str(found)


@every_case
def test_everything_a_pod_names_is_there_or_is_the_installations_own(case: str) -> None:
    objects = chart.case(case)
    own = set(re.findall(r"[\w-]+", json.dumps(chart.CASES[case][1])))
    pods = dict(objects.pods()) | {"a run": flow_run_job.job(objects, PAIR)["spec"]["template"]["spec"]}

    missing = {
        (name, *reference)
        for name, pod in pods.items()
        for reference in references(pod)
        if reference[1] not in own and not there(objects, *reference)
    }

    assert missing == set()


def references(pod: Object) -> set[tuple[str, str, str | None]]:
    """Kind, name and key of everything that a pod names."""
    found: set[tuple[str, str, str | None]] = {("ServiceAccount", pod.get("serviceAccountName", "default"), None)}
    for volume in pod["volumes"]:
        found |= {("ConfigMap", volume["configMap"]["name"], None)} if "configMap" in volume else set()
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        found |= {("PersistentVolumeClaim", claim, None)} if claim else set()
        found |= {("Secret", volume["secret"]["secretName"], None)} if "secret" in volume else set()
    for each in pod_security.containers(pod):
        for source in each.get("envFrom", []):
            found |= {(kind_of(name), source[name]["name"], None) for name in source}
        for variable in each.get("env", []):
            for name, reference in variable.get("valueFrom", {}).items():
                found |= {(kind_of(name), reference["name"], reference["key"])} if name.endswith("KeyRef") else set()
    return found


def kind_of(reference: str) -> str:
    return "Secret" if reference.startswith("secret") else "ConfigMap"


def there(objects: Objects, kind: str, name: str, key: str | None) -> bool:
    found: list[Any] = [each for each in objects.of(kind) if each["metadata"]["name"] == name]
    if (kind, name) == ("ServiceAccount", "default"):
        return True
    return bool(found) and (key is None or key in found[0]["data"])


@every_case
def test_services_and_probes_lead_to_ports_that_pods_open(case: str) -> None:
    objects = chart.case(case)
    pods = [deployment["spec"]["template"] for deployment in objects.of("Deployment")]

    for service in objects.of("Service"):
        (pod,) = (pod for pod in pods if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items())
        (port,) = service["spec"]["ports"]
        assert {"name": port["targetPort"], "containerPort": port["port"]} in pod["spec"]["containers"][0]["ports"]
    for pod in pods:
        for one in pod["spec"]["containers"]:
            named = {port["name"] for port in one["ports"]}
            assert {"readinessProbe", "livenessProbe"} <= one.keys()
            assert {one[probe]["httpGet"]["port"] for probe in one if probe.endswith("Probe")} <= named


@every_case
def test_addresses_within_the_cluster_are_those_of_its_services(case: str) -> None:
    objects = chart.case(case)
    services = {f"{each['metadata']['name']}:{each['spec']['ports'][0]['port']}" for each in objects.of("Service")}

    named = set(re.findall(r"https?://(trainyard-[\w-]+:\d+)", json.dumps(objects)))

    assert named == services


def mlflow_takes(option: str) -> list[str]:
    """What the MLflow of a chart with every option is given by an option of its own."""
    (server,) = chart.case("every option").one("Deployment", "-mlflow")["spec"]["template"]["spec"]["containers"]
    return str(server["args"][server["args"].index(option) + 1]).split(",")


def test_mlflow_answers_to_the_names_it_is_called_by() -> None:
    hosts = mlflow_takes("--allowed-hosts")

    assert {"trainyard-mlflow:5000", "trainyard-mlflow.trainyard.svc:5000"} <= set(hosts)
    assert {"mlflow.example.org", "mlflow.internal:8443"} <= set(hosts)
    assert not [host for host in hosts if "*" in host]


@pytest.mark.parametrize(
    ("page", "blocked"),
    [
        ("https://mlflow.example.org", False),
        ("https://mlflow.internal:8443", False),
        ("https://elsewhere.example.org", True),
        ("http://mlflow.example.org", True),
    ],
)
def test_mlflow_takes_the_requests_of_its_own_page_where_people_open_it_and_of_no_other(
    page: str, blocked: bool
) -> None:
    assert should_block_cors_request(page, "POST", mlflow_takes("--cors-allowed-origins")) is blocked


def test_mlflow_is_restarted_where_the_lake_is_another() -> None:
    def mark(region: str) -> str:
        return json.dumps(chart.render({"lake": {"region": region}}).one("Deployment", "-mlflow")["spec"]["template"])

    assert mark("eu-central-1") != mark("us-east-1")
