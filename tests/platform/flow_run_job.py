"""The Job of a flow run, made as a worker of the cluster makes it: by prefect-kubernetes, of the chart's template."""

import asyncio
import os
import uuid
from collections.abc import Mapping
from typing import Any
from unittest import mock

from prefect.client.schemas.objects import Flow, FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.context import SettingsContext, get_settings_context
from prefect.settings import Settings
from prefect_kubernetes.settings import KubernetesSettings
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

from tests.platform.chart import IMAGES, Object, Objects

COMMIT = "c0ffee" * 6 + "abcd"
PAIR = {"image": IMAGES["flows"], "commit": COMMIT}
"""What every deployment gives: an image and the commit that runs in it."""

EVERY_VARIABLE: dict[str, Any] = {
    **PAIR,
    "model": "trip-duration",
    "cpu_request": "1",
    "cpu_limit": "3",
    "memory": "5Gi",
    "scratch": "7Gi",
    "deadline_seconds": 40000,
    "ttl_seconds": 60,
    "service_account_name": "trainer",
    "priority_class_name": "low",
    "node_selector": {"pool": "big"},
    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "training", "effect": "NoSchedule"}],
    "name": "a-name-of-its-own",
    "command": "prefect flow-run execute",
    "labels": {"team": "rides"},
    "env": {"NOTE": "hello"},
}
AUTH_STRING = "admin:planted-in-the-workers-environment"


def template(objects: Objects) -> Object:
    """The base job template that the bootstrap applies to the pool."""
    found: Object = objects.configuration()["pool"]["base_job_template"]
    return found


def job(
    objects: Objects, variables: Mapping[str, Any], flow: str = "retrain", deployment: str = "trip-duration"
) -> Object:
    """The manifest that the chart's worker hands to Kubernetes for a run of a deployment with these job variables."""
    made = KubernetesWorkerJobConfiguration.from_template_and_values(
        template(objects), dict(variables), client=mock.AsyncMock()
    )
    with mock.patch.dict(os.environ, _worker_environment(objects), clear=True), _settings_of_environment():
        return asyncio.run(_prepared(made, flow, deployment))


async def _prepared(made: Any, flow: str, deployment: str) -> Object:
    found = await made
    its_flow = Flow(id=uuid.uuid4(), name=flow)
    its_deployment = DeploymentResponse(id=uuid.uuid4(), name=deployment, flow_id=its_flow.id)
    run = FlowRun(id=uuid.uuid4(), name="brave-lion", flow_id=its_flow.id, deployment_id=its_deployment.id)
    found.prepare_for_flow_run(run, its_deployment, its_flow, worker_name="trainyard")
    secret = KubernetesSettings().worker
    assert secret.api_auth_string_secret_name
    await KubernetesWorker(work_pool_name="kubernetes")._replace_env_variable_with_secret(
        env_variable_name="PREFECT_API_AUTH_STRING",
        configuration=found,
        secret_name=secret.api_auth_string_secret_name,
        secret_key=secret.api_auth_string_secret_key,
    )
    manifest: Object = found.job_manifest
    return manifest


def _worker_environment(objects: Objects) -> dict[str, str]:
    """The worker's environment, a secret in it taken for ``AUTH_STRING``."""
    (container,) = objects.one("Deployment", "-worker")["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each.get("value", AUTH_STRING) for each in container["env"]}
    return {**given, "PATH": os.environ["PATH"]}


def _settings_of_environment() -> SettingsContext:
    return SettingsContext(profile=get_settings_context().profile, settings=Settings())


def container(manifest: Object) -> Object:
    """The container of a flow run's Job."""
    (found,) = manifest["spec"]["template"]["spec"]["containers"]
    return dict(found)


def environment(objects: Objects, manifest: Object) -> dict[str, str]:
    """What a flow run finds in its environment, but for what comes from Secrets and from the pod itself."""
    own = container(manifest)
    maps = [source["configMapRef"]["name"] for source in own["envFrom"] if "configMapRef" in source]
    shared = {key: value for name in maps for key, value in objects.one("ConfigMap", name)["data"].items()}
    return {**shared, **{each["name"]: each["value"] for each in own["env"] if "value" in each}}
