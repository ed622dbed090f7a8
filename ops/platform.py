"""The local platform: started, found running, stopped."""

import contextlib
import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from ops import ports as free_ports
from ops import processes
from ops.command import alone
from ops.environment import Place, Ports, environment, revision
from ops.services import Service, services, worker

SERVERS = ("s3", "prefect", "mlflow")
PREFERRED = Ports(prefect=4200, mlflow=5000, s3=8333)
PATIENCE = 240.0
"""Seconds a server may take to answer; a cold one on a busy laptop takes 20."""

ENDED_AT_ONCE = ("s3",)
"""SeaweedFS keeps its data over SIGKILL; after SIGTERM it waits 15 s for its own streams."""

STARTS = 5
"""How often the servers are started on other ports because a stranger took one between the look and the start."""
SPREAD = 100
"""Ports among which another is then drawn: two platforms that start at once would go on taking the next one both."""

Say = Callable[[str], None]


class PlatformError(Exception):
    """The platform could not be started: which part, why, and where its log is."""


class PortLost(PlatformError):
    """Another program took a port between the look for a free one and the start of the server."""


@contextlib.contextmanager
def exclusive(place: Place) -> Iterator[None]:
    """Held by the one command that starts or stops the platform; raises PlatformError while another holds it."""
    refusal = PlatformError("another make demo, start or stop is at work here: wait for it to end.")
    with alone(place.folder(".") / "lock", refusal):
        yield


def start(place: Place, say: Say) -> Ports:
    """Bring up whatever of the platform does not run, provision it, apply the deployments. Gives the ports.

    Raises PlatformError with the part that failed. What was started stays, for the next start or stop.
    """
    began = time.monotonic()
    for attempt in range(1, STARTS + 1):
        ports = _settle_ports(place, say, SPREAD if attempt > 1 else 1)
        env = environment(place, ports)
        try:
            _bring_up(place, env, services(place, ports), say)
            break
        except PortLost:
            if attempt == STARTS:
                raise
    _provision(place, env, say)
    say(f"The platform is up after {time.monotonic() - began:.0f} s")
    return ports


def stop(place: Place) -> int:
    """End every process of the platform, whatever state it is in; the data stays. Gives how many there were."""
    ended = processes.stop(place.state, at_once=ENDED_AT_ONCE)
    debris = place.state / "debris.txt"
    if debris.exists():
        for path in debris.read_text().splitlines():
            Path(path).unlink(missing_ok=True)
        debris.unlink()
    return ended


def clear(place: Place) -> None:
    """End a platform that has a folder of its own, and remove what it kept, but for the lock that the caller holds."""
    stop(place)
    for path in place.state.iterdir() if place.name else ():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def status(place: Place) -> dict[str, str]:
    """What runs, by service: process id and memory of each, with its children."""
    table: dict[str, str] = {}
    for name in (*SERVERS, "worker"):
        own = [r.process for r in processes.running(place.state) if r.service == name]
        memory = sum(_memory(process) for process in own) / 2**20
        table[name] = f"running, {len(own)} processes, {memory:.0f} MiB" if own else "stopped"
    return table


def _memory(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _settle_ports(place: Place, say: Say, spread: int = 1) -> Ports:
    """The ports of the last start while the platform uses them or they are free; else the next free ones.

    That is the next from one that is drawn among so many.
    """
    known, running = place.ports(), {name for name in SERVERS if processes.is_up(place.state, name)}
    if running and known is None:
        stop(place)
        running = set()
    wanted, chosen = asdict(known or PREFERRED), {}
    for name, port in wanted.items():
        if name in running:
            chosen[name] = port
            continue
        taken = {*chosen.values(), *(p for other, p in wanted.items() if other in running)}
        try:
            known_free = port not in taken and free_ports.is_free(port)
            first = port if known_free else port + random.randrange(1, spread + 1)  # noqa: S311 - no secret hangs on it
            chosen[name] = free_ports.next_free(first, taken)
        except OSError as error:
            raise PlatformError(f"{name} finds no port: {error}. End what uses them and start again.") from error
        if chosen[name] != port:
            say(f"Port {port} is taken by another program: {name} listens on {chosen[name]}")
    ports = Ports(**chosen)
    if known != ports and running:
        say("Its ports have changed: starting all of the platform anew")
        stop(place)
    place.keep_ports(ports)
    return ports


def _bring_up(place: Place, env: Mapping[str, str], servers: list[Service], say: Say) -> None:
    started = launch(place, env, servers)
    say("Starting " + ", ".join(started) if started else "Every server is running")
    wait_for(place, servers, say)


def launch(place: Place, env: Mapping[str, str], wanted: list[Service]) -> list[str]:
    """Start those services that do not run; gives their names."""
    missing = [service for service in wanted if not processes.is_up(place.state, service.name)]
    for service in missing:
        with (place.state / "debris.txt").open("a") as debris:
            debris.writelines(f"{path}\n" for path in service.debris)
        log = place.folder("log") / f"{service.name}.log"
        processes.start(service.name, service.argv, {**env, **service.env}, place.state, log)
    return [service.name for service in missing]


def wait_for(place: Place, wanted: list[Service], say: Say) -> None:
    """Return once all services answer. Raises PlatformError with the end of the log of the one that does not."""
    waiting = {service.name: service.ready_url for service in wanted if service.ready_url}
    deadline = time.monotonic() + PATIENCE
    while waiting:
        for name, url in list(waiting.items()):
            if _answers(url) and processes.listens(place.state, name, _port(url)):
                say(f"  {name} answers")
                del waiting[name]
        dead = [name for name in waiting if not processes.is_up(place.state, name)]
        if dead or time.monotonic() > deadline:
            name = next(iter(dead or waiting))
            lost = bool(dead) and not free_ports.is_free(_port(waiting[name]))
            what = "ended while it started" if dead else f"did not answer within {PATIENCE:.0f} s"
            raise (PortLost if lost else PlatformError)(f"{name} {what}. The end of {_log(place, name)}")
        time.sleep(0.2)


def _port(url: str) -> int:
    return urlsplit(url).port or 0


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False


def _provision(place: Place, env: Mapping[str, str], say: Say) -> None:
    """Provision and start the worker, unless it runs and nothing that is provisioned has changed."""
    record, wanted = place.state / "provisioned", _provisioned_from(place)
    fresh = not processes.is_up(place.state, "worker")
    if not fresh and record.exists() and record.read_text() == wanted:
        return
    say("Applying work pool, blocks and deployments")
    record.unlink(missing_ok=True)
    _run(place, env, "provision", "-m", "ops.provision", *(["--no-run-is-alive"] if fresh else []))
    launch(place, env, [worker(place)])
    record.write_text(wanted)


def _provisioned_from(place: Place) -> str:
    """What the deployments and the rest are made from, as a digest."""
    files = [
        place.root / "prefect.yaml",
        *sorted(place.root.glob("flows/**/*.py")),
        *sorted(place.root.glob("ops/**/*.py")),
        *sorted(place.root.glob("infra/helm/trainyard/files/bootstrap/*.py")),
    ]
    digest = hashlib.sha256(f"{revision(place)} {os.environ.get('NOTICE_WEBHOOK_URL', '')}".encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _log(place: Place, name: str, lines: int = 15) -> str:
    path = place.state / "log" / f"{name}.log"
    return f"{path.relative_to(place.root)}:\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def _run(place: Place, env: Mapping[str, str], name: str, *argv: str) -> None:
    log = place.folder("log") / f"{name}.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, *argv], env=env, cwd=place.root, stdout=output, stderr=output, check=False
        )
    if done.returncode:
        raise PlatformError(f"{name} failed. The end of {_log(place, name)}")
