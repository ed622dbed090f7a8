"""The API server takes what the chart renders: every object of every values file, held to its own schemas.

Nothing is made: the server validates, applies its defaults, admits and throws away. A field that it does not know is an
error.
"""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.platform import chart, flow_run_job
from tests.platform.chart import Object, every_case, merged, requires_helm

pytestmark = requires_helm

RELEASE = "manifests"
"""Beside the platform that is installed: no name is taken."""
FREE_PORTS = {"kind": {name: {"service": {"nodePort": None}} for name in ("prefect", "mlflow", "minio")}}
"""Ports of the node are one's own; those of the platform are taken."""


def create(cluster: Any, objects: Sequence[Object]) -> list[str]:
    """The names of the objects that the API server would make. Raises what ``kubectl`` raises where it refuses one.

    A pod is admitted by a service account that is there; its own is only among the objects.
    """
    admitted = [
        merged(each, {"spec": {"serviceAccountName": "default"}}) if each["kind"] == "Pod" else each for each in objects
    ]
    listed = {"apiVersion": "v1", "kind": "List", "items": admitted}
    command = ("create", "--dry-run=server", "--validate=strict", "--output=name", "--filename=-")
    named: str = cluster.kubectl(*command, stdin=json.dumps(listed))
    return named.splitlines()


@every_case
def test_the_api_server_takes_every_object(cluster: Any, case: str) -> None:
    profile, values = chart.CASES[case]
    objects = chart.render(merged(values, FREE_PORTS.get(case, {})), profile, release=RELEASE)

    made = create(cluster, objects)

    assert len(made) == len(objects)


@every_case
@pytest.mark.parametrize("variables", [flow_run_job.PAIR, flow_run_job.EVERY_VARIABLE], ids=["the least", "everything"])
def test_the_api_server_takes_the_job_of_a_run(cluster: Any, case: str, variables: dict[str, Any]) -> None:
    job = flow_run_job.job(chart.case(case), variables)
    for field in ("parallelism", "completions"):  # the library asks for them at a place where Kubernetes drops them
        del job["spec"]["template"]["spec"][field]

    (made,) = create(cluster, [job])

    assert made.startswith("job.batch/")


def test_a_field_that_kubernetes_does_not_know_is_refused(cluster: Any) -> None:
    worker = chart.render({}, release=RELEASE).one("Deployment", "-worker")
    worker["spec"]["template"]["spec"]["enableServiceLink"] = False

    with pytest.raises(Exception, match=r'unknown field ".*enableServiceLink"'):
        create(cluster, [worker])


def test_a_pod_that_is_not_restricted_is_refused(cluster: Any) -> None:
    (pod,) = chart.render({}, release=RELEASE).of("Pod")
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True

    with pytest.raises(Exception, match='violates PodSecurity "restricted'):
        create(cluster, [pod])
