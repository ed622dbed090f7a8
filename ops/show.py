"""What the commands of the local platform print at the end."""

from rich.console import Console

from ops.environment import BUCKET, Ports


def show_urls(console: Console, ports: Ports) -> None:
    """Where the platform is to be seen."""
    console.print(
        f"Prefect  http://127.0.0.1:{ports.prefect}   runs, decisions, plots, the form to start a run", soft_wrap=True
    )
    console.print(f"MLflow   http://127.0.0.1:{ports.mlflow}   versions, errors, the report of each", soft_wrap=True)
    console.print(f"S3       http://127.0.0.1:{ports.s3}   bucket {BUCKET}; credentials: make env", soft_wrap=True)
