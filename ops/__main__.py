"""The commands behind the make verbs of the local platform: ``python -m ops VERB``."""

import argparse
import shlex
import subprocess
import sys
from dataclasses import replace

from rich.console import Console

from ops import platform
from ops.environment import Place, environment, here, settings
from ops.show import show_urls

DEMO = (
    "ops.demo",
    *("--deployment", "monthly/trip-duration-local"),
    *("--source", "examples/tlc/green_tripdata_{month}.parquet"),
)


def _start(console: Console) -> int:
    with platform.exclusive(here()):
        ports = platform.start(here(), console.print)
    show_urls(console, ports)
    return 0


def _stop(console: Console) -> int:
    with platform.exclusive(here()):
        console.print(f"Ended {platform.stop(here())} processes; the data stays in .trainyard")
    return 0


def _status(console: Console) -> int:
    table = platform.status(here())
    for name, state in table.items():
        console.print(f"{name:8} {state}")
    if (ports := here().ports()) and "stopped" not in table.values():
        show_urls(console, ports)
    return 0


def _env(_: Console) -> int:
    ports = here().ports()
    if ports is None:
        raise platform.PlatformError("the platform has never been started here: make start")
    for name, value in settings(here(), ports).items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    return 0


def _demo(console: Console) -> int:
    with platform.exclusive(here()):
        return _run(here(), console, DEMO)


def _scenario(console: Console) -> int:
    place = replace(here(), name="scenario")
    with platform.exclusive(place):
        platform.clear(place)
        published = place.folder("published").relative_to(place.root)
        status = _run(place, console, DEMO, ("ops.scenario", "--published", str(published)))
    console.print("`make stop PLACE=scenario` ends this platform; `make env PLACE=scenario` points commands at it")
    return status


def _run(place: Place, console: Console, *modules: tuple[str, ...]) -> int:
    """Run modules on a platform that is started first, one after the other until one fails; then say where it is."""
    ports = platform.start(place, console.print)
    logs = place.state.relative_to(place.root) / "log/worker.log"
    for module in modules:
        command = [sys.executable, "-m", *module, "--logs", str(logs)]
        if status := subprocess.call(command, env=environment(place, ports), cwd=place.root):
            return status
    show_urls(console, ports)
    return 0


def _command(*module: str) -> int:
    """Run a module on the platform that is there, in its environment; its help needs none."""
    ports = here().ports()
    if {"-h", "--help"} & {*module}:
        return subprocess.call([sys.executable, "-m", *module], cwd=here().root)
    if ports is None:
        raise platform.PlatformError("the platform has never been started here: make start")
    process = subprocess.Popen([sys.executable, "-m", *module], env=environment(here(), ports), cwd=here().root)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()  # it was interrupted as well, and ends in its own way
        raise


VERBS = {
    "start": (_start, "start the local platform"),
    "stop": (_stop, "end every process of the local platform"),
    "status": (_status, "say what of the local platform runs"),
    "env": (_env, "print the environment that points commands at the local platform"),
    "demo": (_demo, "start the local platform and run the main job on the three months of examples/tlc"),
    "scenario": (_scenario, "the same on a platform of its own, begun anew, and then a bad month"),
}
COMMANDS = {
    "reconcile": ("flows.reconciling", "say what crashes left behind on the local platform"),
    "tune": ("ops.tune", "search for a model's parameters on the months that the local platform would train it on"),
    "reproduce": ("ops.reproduce", "train a version of the local platform anew from its record, and compare bytes"),
}
"""Modules that a verb runs in the platform's environment, with all that is given behind it."""
GOES_ON = "`make demo` goes on from here, `make stop` ends what runs."
AFTER = {
    "scenario": "`make scenario` begins anew, `make stop PLACE=scenario` ends what runs.",
    "tune": "`make tune` goes on from here.",
}
"""What an interrupt is told with: what to do then."""


def main() -> int:
    """Run a verb; an error is a sentence on standard error and exit status 1, an interrupt 130."""
    parser = argparse.ArgumentParser(prog="python -m ops", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (_, text) in VERBS.items():
        verbs.add_parser(name, help=text, description=text)
    for name, (_, text) in COMMANDS.items():
        verbs.add_parser(name, help=text, add_help=False, prefix_chars="\0").add_argument("arguments", nargs="*")
    given = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    try:
        if given.verb in COMMANDS:
            return _command(COMMANDS[given.verb][0], *given.arguments)
        return VERBS[given.verb][0](console)
    except platform.PlatformError as error:
        sys.stderr.write(f"trainyard: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"trainyard: interrupted. {AFTER.get(given.verb, GOES_ON)}\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
