"""``make kubeconfig``: kubectl pointed at an EKS cluster, by the AWS CLI."""

import argparse
import sys
from collections.abc import Sequence

from flows.ml.errors import TrainyardError
from ops.command import says_errors
from ops.deploy.programs import run


class NotPointed(TrainyardError):
    """It is not said at which cluster."""


@says_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Print what the AWS CLI says of it; an error is a sentence on standard error and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m ops.kubeconfig", description=__doc__)
    parser.add_argument("--cluster", required=True, help="the name of the cluster")
    parser.add_argument("--region", required=True, help="the region of AWS it is in")
    given = parser.parse_args(arguments)
    for name, value in (("CLUSTER", given.cluster), ("AWS_REGION", given.region)):
        if not value.strip():
            raise NotPointed(f"{name} is empty. Say both: make kubeconfig CLUSTER=… AWS_REGION=….")
    print(run(["aws", "eks", "update-kubeconfig", "--name", given.cluster, "--region", given.region]), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
