"""Monthly runs in a row on a local platform, some killed: what of memory, databases and open files stays flat.

A platform of its own (``PLACE=soak``) is begun anew and the main job run on it; then ``monthly`` runs for its last
month, one after the other. For one in ``TRAINS`` the month is corrected first: it is landed, a model trained and judged
by it, and a version registered. The others find all done. A share of them is killed (SIGKILL) at a random moment of the
time that the first of its kind took, and run again by the platform. Afterwards a reconcile says what they left. Run it
as ``python -m benchmarks.soak [--runs N]``; 200 take more than an hour.
"""

import argparse
import contextlib
import json
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator

import polars as pl
import psutil
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun

from benchmarks import own
from ops import processes
from ops.command import count_of
from ops.environment import Place, here

MONTHLY = "monthly/trip-duration-local"
MONTH = "2023-03"
FILE = "green_tripdata_{month}.parquet"
TRAINS = 4
"""One run in so many trains, the first among them."""
SHARE = 0.3
"""Of the runs that are killed."""
EVERY = 20
"""Runs between two lines of the table."""
PATIENCE = 900.0
SETTLED = 20.0
"""Seconds after which a crashed run that was not taken up again stays crashed, and one that ended has left nothing."""


def publish(place: Place, less: int) -> None:
    """Publish the month without so many of its rows."""
    rows = pl.read_parquet(place.root / "examples/tlc" / FILE.format(month=MONTH))
    rows.head(rows.height - less).write_parquet(place.folder("published") / FILE.format(month=MONTH))


def run(client: SyncPrefectClient, place: Place, kill_after: float | None) -> tuple[FlowRun, bool]:
    """A monthly run, once it has ended for good, and whether its process was killed, so many seconds after it began."""
    deployment = client.read_deployment_by_name(MONTHLY)
    source = str(place.folder("published").relative_to(place.root) / FILE)
    found = client.create_flow_run_from_deployment(deployment.id, parameters={"month": MONTH, "source": source})
    deadline, killed = time.monotonic() + PATIENCE, False
    while time.monotonic() < deadline:
        time.sleep(0.3)
        found = client.read_flow_run(found.id)
        assert found.state
        since = time.time() - found.state.timestamp.timestamp()
        if kill_after is not None and not killed and found.state.is_running() and since > kill_after:
            killed = _kill(place, found)
        if found.state.is_final() and (not found.state.is_crashed() or since > SETTLED):
            return found, killed
    raise SystemExit(f"{found.name} did not end within {PATIENCE:.0f} s: {found.state}")


def _kill(place: Place, found: FlowRun) -> bool:
    """Kill the processes of a run; whether there was one."""
    struck = False
    for each in processes.running(place.state):
        with contextlib.suppress(psutil.Error):
            if each.process.environ().get("PREFECT__FLOW_RUN_ID") == str(found.id):
                each.process.kill()
                struck = True
    return struck


def sizes(place: Place) -> dict[str, float]:
    """Memory in MB and open files of each service, the databases' sizes in MB, and processes of runs that are left."""
    found: defaultdict[str, float] = defaultdict(float, {"orphans": 0})
    for each in processes.running(place.state):
        with contextlib.suppress(psutil.Error):
            found["orphans"] += "PREFECT__FLOW_RUN_ID" in each.process.environ()
            found[f"{each.service} MB"] += each.process.memory_info().rss / 1e6
            found[f"{each.service} files"] += each.process.num_fds()
    for path in place.state.rglob("*.db*"):  # with what is not yet written back into it
        found[f"{path.name.partition('.db')[0]}.db MB"] += path.stat().st_size / 1e6
    return dict(found)


def soak(place: Place, runs: int, seed: int) -> Iterator[dict[str, float]]:
    """The sizes before the first run, after each ``EVERY`` and at the end, with the runs so far by their ends."""
    chance, ends = random.Random(seed), Counter[str]()  # noqa: S311 - no secret hangs on it
    lengths: dict[bool, float] = {}
    with get_client(sync_client=True) as client:
        yield {"runs": 0, **sizes(place)}
        for number in range(1, runs + 1):
            if trains := number % TRAINS == 1:
                publish(place, number)
            doomed = trains in lengths and chance.random() < SHARE
            found, killed = run(client, place, chance.uniform(0, lengths[trains]) if doomed else None)
            assert found.state
            lengths.setdefault(trains, found.total_run_time.total_seconds())
            ends["trained"] += trains
            ends[found.state.name or ""] += 1
            ends["killed"] += killed
            if number % EVERY == 0 or number == runs:
                time.sleep(SETTLED)  # the processes of the last run are gone
                yield {"runs": number, **sizes(place), **ends}


def show(line: dict[str, float], names: list[str]) -> None:
    """One line of the table."""
    print(" ".join(f"{line.get(name, 0):{len(name) + 2}.0f}" for name in names), flush=True)


def main() -> None:
    """Soak, print the table and what a reconcile finds, then the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=count_of("runs"), default=200, help="monthly runs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of which are killed, and when (default: %(default)s)")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.one:
        with own.served("soak") as (place, env):
            words = ["--runs", str(given.runs), "--seed", str(given.seed), "--one"]
            subprocess.run([sys.executable, "-m", "benchmarks.soak", *words], env=env, cwd=place.root, check=True)
            sys.exit(subprocess.call([sys.executable, "-m", "flows.reconciling"], env=env, cwd=place.root))
    found: list[dict[str, float]] = []
    for line in soak(here(), given.runs, given.seed):
        names = [*line] if not found else [*found[0], *sorted(line.keys() - found[0].keys())]
        if len(found) < 2:
            print(" ".join(f"{name:>{len(name) + 2}}" for name in names))
        show(line, names)
        found.append(line)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
