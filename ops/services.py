"""What the local platform runs: a Prefect server and worker, an MLflow server and an S3 server, all on loopback."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ops import s3_servers
from ops.environment import Place, Ports, credentials

BROKER = Path(__file__).resolve().parent.parent / "infra/helm/trainyard/files/prefect/patient_broker.py"
"""What the chart's Prefect has too: a broker under which automations miss nothing while SQLite is busy."""


@dataclass(frozen=True)
class Service:
    """A process of the platform. It is up once ``ready_url`` answers; one without is up once it runs."""

    name: str
    argv: tuple[str, ...]
    ready_url: str | None
    env: Mapping[str, str] = field(default_factory=dict)
    debris: tuple[Path, ...] = ()


def services(place: Place, ports: Ports) -> list[Service]:
    """The servers, in the order in which they can be of use; the worker comes when the pool is there."""
    prefect = str(place.programs / "prefect")
    mlflow_home = place.folder("mlflow")
    s3_ports = (ports.s3, *s3_servers.free_ports(s3_servers.SEAWEEDFS_PORTS - 1))
    s3 = s3_servers.seaweedfs(place.programs / "weed", place.folder("s3"), s3_ports, *credentials(place))
    return [
        Service("s3", s3.argv, s3.ready, s3.env, s3.debris),
        Service(
            "prefect",
            (prefect, "server", "start", "--host", "127.0.0.1", "--port", str(ports.prefect)),
            f"http://127.0.0.1:{ports.prefect}/api/health",
            {
                "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
                "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": BROKER.stem,
                "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": BROKER.stem,
                "PYTHONPATH": str(BROKER.parent),
                "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
                "PREFECT_UI_API_URL": f"http://127.0.0.1:{ports.prefect}/api",
            },
        ),
        Service(
            "mlflow",
            (
                *(str(place.programs / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(ports.mlflow)),
                *("--backend-store-uri", f"sqlite:///{mlflow_home}/mlflow.db", "--workers", "1"),
                *("--artifacts-destination", "s3://trainyard/mlflow"),
            ),
            f"http://127.0.0.1:{ports.mlflow}/health",
            {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        ),
    ]


def worker(place: Place) -> Service:
    """The worker of the pool ``local``; it never makes the pool itself."""
    argv = (
        "-m",
        "ops.worker",
        "--pool",
        "local",
        "--type",
        "process",
        "--name",
        "local",
        "--no-create-pool-if-not-found",
    )
    return Service("worker", (str(place.programs / "python"), *argv), None, {"PREFECT_WORKER_QUERY_SECONDS": "1"})
