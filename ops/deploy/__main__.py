"""The commands behind the make verbs of the deploy: ``python -m ops.deploy [submit] VERB``; with it, in the cluster."""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
from prefect.exceptions import PrefectException

from flows.ml.errors import TrainyardError
from ops import images, summary
from ops.command import sentence
from ops.deploy import chart, checkout, checks, deploying, job, records, server, trial
from ops.environment import here

ROOT = here().root
SMOKE = "infra/helm/trainyard/files/bootstrap/run_smoke.py"
TERRAFORM = "infra/terraform"


said: list[str] = []
"""What was told, for the summary of a workflow's job."""


def say(line: str) -> None:
    """A line at once, for whoever follows the log of a Job."""
    said.append(line)
    print(line, flush=True)


def _plan(given: argparse.Namespace) -> int:
    found = deploying.plan(ROOT, _image(given), _repository(given), trust_image=given.trust_image, say=say)
    for line in found.lines():
        say(line)
    if not found:
        say("Nothing to change")
    return 0


def _apply(given: argparse.Namespace) -> int:
    told = deploying.deploy(
        ROOT,
        _image(given),
        _repository(given),
        unless_deployed=given.unless_deployed,
        trust_image=given.trust_image,
        by=given.by,
        environment=given.environment,
        say=say,
    )
    say(told)
    return 0


def _rollback(given: argparse.Namespace) -> int:
    told = deploying.rollback(
        ROOT,
        given.to,
        _repository(given),
        trust_image=given.trust_image,
        by=given.by,
        environment=given.environment,
        say=say,
    )
    say(told)
    return 0


def _smoke(_: argparse.Namespace) -> int:
    server.require_named()
    return subprocess.call([sys.executable, str(ROOT / SMOKE)]) or trial.run(say)


VERBS: dict[str, tuple[Callable[[argparse.Namespace], int], str]] = {
    "plan": (_plan, "say what a deploy of HEAD would change"),
    "apply": (_apply, "deploy HEAD"),
    "rollback": (_rollback, "return to an earlier deploy"),
    "smoke": (_smoke, "run smoke/platform and a reconcile that changes nothing, and say how they ended"),
}


BRINGS_NO_IMAGE = ("rollback", "smoke")
"""The verbs whose Job runs in the image of the installed chart: that of the checkout may never have been pushed."""


def _submit(given: argparse.Namespace) -> int:
    """The verb in a Job. A registry is asked from here, where one is logged in; the pod's own image is proof enough."""
    if given.inner == "rollback" and given.to != deploying.PREVIOUS:
        records.require_commit(given.to)
    if given.inner in ("plan", "apply"):  # the image is that of the tree, the commit that of HEAD
        checkout.require_clean(ROOT)
    own = given.inner in BRINGS_NO_IMAGE and not given.image
    image = "" if own else checks.image(_image(given), trusted=given.trust_image)
    commit = checkout.head(ROOT)
    arguments = [given.inner]
    if given.inner != "smoke":
        by = given.by or checkout.author(ROOT)
        arguments += ["--trust-image", "--by", by, "--environment", given.environment]
        arguments += ["--image", image] if image else []
        arguments += ["--repository", given.repository] if given.repository else []
    if given.inner == "rollback":
        arguments += ["--to", given.to]
    place = job.Namespace(given.namespace, given.release)
    return job.submit(place, ROOT, image, commit, arguments, say, given.environment)


def _upgrade(given: argparse.Namespace) -> int:
    known = images.images(ROOT, given.registry) if given.registry else ()
    pinned = {each.name: checks.image(each.reference, trusted=given.trust_image) for each in known}
    place = job.Namespace(given.namespace, given.release)
    say(chart.upgrade(place, ROOT, given.values, pinned, given.environment))
    return 0


def _check(_: argparse.Namespace) -> int:
    say(deploying.check(ROOT))
    return 0


def _image(given: argparse.Namespace) -> str:
    own = {each.name: each.reference for each in images.images(ROOT, given.registry or images.REGISTRY)}
    return given.image or own["flows"]


def _repository(given: argparse.Namespace) -> str:
    return given.repository or checkout.repository(ROOT)


def _environment(name: str) -> str:
    """An environment that there is. In a Job there is nothing to compare it with, and no need."""
    known = sorted(path.name.partition(".")[0] for path in (ROOT / TERRAFORM).rglob("*.tfvars"))
    if name and known and name not in known:
        raise argparse.ArgumentTypeError(f"there is no environment {name!r}. There are {', '.join(known)}.")
    return name


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    made = argparse.ArgumentParser(prog="python -m ops.deploy", description=__doc__)
    verbs = made.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_verbs(verbs)
    submit = verbs.add_parser("submit", help="do it in a Job on the cluster that the kubeconfig leads to")
    _add_place(submit)
    _add_verbs(submit.add_subparsers(dest="inner", required=True, metavar="VERB"))
    verbs.add_parser("check", help="say whether prefect.yaml is one to deploy")
    upgrade = verbs.add_parser("chart-upgrade", help="upgrade the chart where it or its values changed")
    _add_place(upgrade)
    _add_image(upgrade)
    upgrade.add_argument("--environment", type=_environment, default="", help="which one the release is to be")
    upgrade.add_argument("--values", type=Path, action="append", default=[], help="a values file; may be repeated")
    return made


def _add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    for name, (_, text) in VERBS.items():
        verb = verbs.add_parser(name, help=text, description=text)
        _add_image(verb)
        verb.add_argument("--image", default="", help="the image of the flow runs, as the pods pull it")
        verb.add_argument("--repository", default="", help="the repository the pods clone, at its address from here")
        verb.add_argument("--by", default="", help="who deploys (default: the workflow's actor, git's user)")
        verb.add_argument("--environment", type=_environment, default="", help="what the record says it is")
        if name == "apply":
            verb.add_argument("--unless-deployed", action="store_true", help="do nothing where this pair is deployed")
        if name == "rollback":
            verb.add_argument("--to", default=deploying.PREVIOUS, help="a commit, or `previous` (default)")


def _add_image(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--registry", default="", help="what the project's images begin with; used without --image")
    verb.add_argument("--trust-image", action="store_true", help="ask no registry: the nodes have the image")


def _add_place(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--namespace", default="trainyard", help="where the platform is (default: %(default)s)")
    verb.add_argument("--release", default="trainyard", help="its Helm release (default: %(default)s)")


def main() -> int:
    """Run a verb; an error is a sentence on standard error and exit status 1. A workflow's summary has it all."""
    given = parser().parse_args()
    status = _run(given)
    verb = given.inner if given.verb == "submit" else given.verb
    summary.add(f"## {verb.capitalize()}: {'failed' if status else 'done'}\n\n```\n" + "\n".join(said) + "\n```")
    return status


def _run(given: argparse.Namespace) -> int:
    run = {"submit": _submit, "check": _check, "chart-upgrade": _upgrade}.get(given.verb) or VERBS[given.verb][0]
    try:
        return run(given)
    except (TrainyardError, PrefectException, httpx.HTTPError) as error:
        said.append(sentence(error))
        sys.stderr.write(f"trainyard: {said[-1]}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("trainyard: interrupted. The same command goes on from here.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
