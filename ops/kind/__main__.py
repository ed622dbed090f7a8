"""The commands behind the make verbs of the kind cluster: ``python -m ops.kind VERB``."""

import argparse
import shlex
import shutil
import sys
import time

from rich.console import Console

from flows.ml.errors import TrainyardError
from ops.environment import here
from ops.kind import access, cluster, steps, tools
from ops.kind import demo as demonstration
from ops.kind.access import Access
from ops.kind.cluster import Cluster
from ops.kind.deploy import deploy
from ops.kind.up import up

ROOT = here().root
NEXT = """
Next:
  make kind-demo                      the main job on three public months, as Jobs
  eval "$(make -s kind-env)"          point kubectl, prefect and mlflow at it; the passwords are among what it prints
  make kind-down                      remove the cluster with all its data
"""


def _up(console: Console, place: Cluster) -> int:
    began = time.monotonic()
    with steps.shown(console) as step:
        found = up(place, ROOT, step, console.print)
    console.print(f"The platform is up, after {time.monotonic() - began:.0f} s")
    _show(console, place, found)
    console.print(NEXT, end="")
    return 0


def _deploy(console: Console, place: Cluster) -> int:
    with cluster.exclusive(place), steps.shown(console) as step, step("Deploying"):
        text = deploy(place, ROOT)
    console.print(text)
    return 0


def _demo(console: Console, place: Cluster) -> int:
    cluster.require(place)
    with cluster.exclusive(place), steps.shown(console) as step:
        found = demonstration.demo(place, ROOT, step)
    status = demonstration.run(place, ROOT, found)
    if status == 0:
        _show(console, place, found)
    return status


def _down(console: Console, place: Cluster) -> int:
    with cluster.exclusive(place), steps.shown(console) as step, step(f"Removing the cluster {place.name}"):
        there = cluster.delete(place)
        shutil.rmtree(place.state, ignore_errors=True)
    console.print("The cluster and all that was on it is gone" if there else "There was no cluster here")
    return 0


def _env(_: Console, place: Cluster) -> int:
    cluster.require(place)
    for name, value in access.find(place).settings(place).items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    return 0


def _status(console: Console, place: Cluster) -> int:
    if not cluster.exists(place):
        console.print("There is no cluster here: make kind-up")
        return 0
    cluster.require(place)
    console.print(place.kubectl("get", "pods", "--sort-by=.metadata.creationTimestamp"), end="")
    _show(console, place, access.find(place))
    return 0


def _show(console: Console, place: Cluster, found: Access) -> None:
    """Where the platform is to be seen, and who lets one in."""
    console.print(f"Prefect  {found.prefect}   runs, decisions, plots, the form to start a run")
    console.print(f"MLflow   {found.mlflow}   versions, errors, the report of each")
    console.print(f"S3       {found.s3}   bucket {found.bucket}")
    console.print(f"Cluster  {place.name}   users and passwords: make kind-env")


VERBS = {
    "up": (_up, "make the cluster and install the platform on it"),
    "deploy": (_deploy, "push HEAD to the cluster's git server and deploy it"),
    "demo": (_demo, "run the main job on the three months of examples/tlc"),
    "status": (_status, "say what of the platform runs"),
    "env": (_env, "print the environment that points commands at the platform"),
    "down": (_down, "remove the cluster"),
}


def main() -> int:
    """Run a verb; an error is a sentence on standard error and exit status 1, an interrupt 130."""
    parser = argparse.ArgumentParser(prog="python -m ops.kind", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (_, text) in VERBS.items():
        verbs.add_parser(name, help=text, description=text)
    verb = parser.parse_args().verb
    console = Console(highlight=False, soft_wrap=True)
    try:
        tools.require()
        return VERBS[verb][0](console, cluster.of(ROOT))
    except TrainyardError as error:
        sys.stderr.write(f"trainyard: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("trainyard: interrupted. The same command goes on from here; `make kind-down` removes all.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
