"""``make reproduce``: a version trained anew from its record alone, and its bytes compared with those that are kept.

Code, packages and months are those of the record: the code is unpacked into a folder of its own, the lock installed
into an environment of its own under ``.trainyard/reproduce``, the months are fetched by their digests.
"""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

from flows.ml import registration, training_record
from flows.ml import snapshot as snapshots
from flows.ml.errors import TrainyardError
from flows.ml.lake import Lake
from flows.ml.registration import ARTIFACTS, SERVING
from flows.ml.registry import Registry, Version
from flows.ml.registry_errors import VersionMissing
from flows.ml.training_record import TrainingRecord, digest
from flows.resources import open_resources, scratch
from ops import record_trial
from ops.command import alone, count_of, last_line, say, says_errors
from ops.environment import here, without_foreign

STORED = (*ARTIFACTS.values(), SERVING.name)
"""The files of a stored model that are a training's; the others are MLflow's own."""


class NotReproduced(TrainyardError):
    """A training could not be done again: its packages do not install any more, or its code ends on an error."""


@says_errors
def main() -> int:
    """Print what came of each file; exit status 1 where one differs or the training could not be done again."""
    parser = argparse.ArgumentParser(prog="python -m ops.reproduce", description=__doc__)
    parser.add_argument("--model", default="trip-duration", help="the model (default: %(default)s)")
    parser.add_argument("--version", required=True, type=_number, help="the number of its version in MLflow")
    threads = "processors to train with (default: those there are)"
    parser.add_argument("--threads", type=count_of("threads"), help=threads)
    given = parser.parse_args()
    opened = open_resources()
    version = registration.promotable(opened.registry, given.model, given.version)
    with scratch(opened.settings) as folder:
        record = read(opened.registry, version, folder)
        say(f"version {version.number} of {record.model}: {record.rows:,} rows of {record.snapshot.span}")
        python = environment(record.lock, here().folder("reproduce"))
        stored = stored_files(opened.registry, version, folder)
        made = retrain(opened.lake, record, python, given.threads or opened.settings.threads, folder)
    differences = compare(record, stored, made)
    names = (*record.files, SERVING.name)
    for name in names:
        print(f"{name:14} {len(made.get(name, b'')):>11,} bytes  {differences.get(name, 'the same')}")
    if not differences:
        print(f"Reproduced: all {len(names)} files of version {version.number} are the same, byte for byte.")
        return 0
    print(f"NOT reproduced: {', '.join(differences)}. {elsewhere(record)}")
    return 1


def read(registry: Registry, version: Version, folder: Path) -> TrainingRecord:
    """The record of a version. Raises ``NotReproduced`` where it has none, ``RecordUnusable``."""
    try:
        kept = registry.fetch(version, training_record.NAME, folder).read_bytes()
    except VersionMissing as error:
        raise NotReproduced(
            f"version {version.number} of {version.model} has no record: it was registered before there were any, or "
            f"somebody removed it. Its commit is {version.tags.get('git_sha', 'unknown')}: run retrain there, on the "
            "months in its tag snapshot."
        ) from error
    return training_record.from_json(kept, version.fingerprint)


def environment(lock: str, folder: Path) -> Path:
    """The Python of an environment that holds the packages of ``lock``, made under ``folder`` where it is not there.

    There is one for each lock and each Python. Raises ``NotReproduced`` where they do not install, or others are being
    installed.
    """
    home = folder / f"{digest(lock.encode())[:16]}-{platform.python_version()}"
    python, whole = home / "bin" / "python", home / "whole"
    with alone(folder / "lock", NotReproduced("packages of a record are being installed here: wait for their end.")):
        if not (whole.exists() and python.exists()):  # it leads nowhere once its Python was removed
            say(f"installing the {lock.count('==')} packages of its lock; once for each lock and each Python")
            _install(lock, home, python)
            whole.touch()
    return python


def _install(lock: str, home: Path, python: Path) -> None:
    venv.create(home, clear=True, with_pip=True, symlinks=True)
    packages = home / "requirements.txt"
    packages.write_text(lock)
    # The lock is complete: nothing is resolved. Bytecode of all would take longer than what is imported of it.
    pip = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
    install = (*pip, "--no-deps", "--require-hashes")
    done = subprocess.run([*install, "-r", str(packages)], capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(home)
        raise NotReproduced(
            f"the locked packages of the record do not install ({last_line(done.stderr, done.stdout)}). Where the "
            "index does not have them any more, name one that does; where this Python is too new for them, take an "
            "older one."
        )


def shown(python: Path) -> str:
    """A Python by its path, from the checkout on where it is in there."""
    root = here().root
    return str(python.relative_to(root) if python.is_relative_to(root) else python)


def stored_files(registry: Registry, version: Version, folder: Path) -> dict[str, bytes]:
    """The files of the stored model, of those that a record has, by name."""
    model = registry.download(version, folder / "stored")
    return {name: path.read_bytes() for name in STORED for path in model.rglob(name)}


def retrain(lake: Lake, record: TrainingRecord, python: Path, threads: int, folder: Path) -> dict[str, bytes]:
    """Train by the record; what it left, with the code that serves it, by file name.

    Raises ``NotReproduced`` and the lake's errors.
    """
    months, code, out = (folder / name for name in ("months", "code", "out"))
    for each in (months, code, out):
        each.mkdir()
    files = snapshots.fetch(lake, record.snapshot.dataset, record.snapshot.train, months)
    training_record.unpack(record, code)
    given = (f"--model={record.model}", f"--columns={','.join(record.columns)}", f"--threads={threads}", f"--out={out}")
    say(f"training with {threads} thread{'s' if threads > 1 else ''} by {shown(python)}")
    done = subprocess.run(
        [str(python), "-P", record_trial.__file__, *given, *map(str, files)],
        cwd=folder,
        env={**without_foreign(os.environ), "PYTHONPATH": str(code), "OMP_WAIT_POLICY": "PASSIVE"},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode < 0:
        killer = signal.Signals(-done.returncode).name
        raise NotReproduced(f"the training of the record was ended by {killer}: was there memory enough? Run it again.")
    if done.returncode:
        raise NotReproduced(f"the training of the record ended on an error: {last_line(done.stderr)}")
    serving = record.sources[f"ml/{SERVING.name}"].encode()
    return {**{path.name: path.read_bytes() for path in out.iterdir()}, SERVING.name: serving}


def compare(record: TrainingRecord, stored: Mapping[str, bytes], made: Mapping[str, bytes]) -> dict[str, str]:
    """How files differ, by name: what was made, and what MLflow stores, from the digests of the record."""
    wanted = {**record.files, SERVING.name: digest(record.sources[f"ml/{SERVING.name}"].encode())}
    found = {}
    for name in sorted(wanted.keys() | made.keys()):
        said = []
        if name in STORED and name not in stored:
            said.append("MLflow does not have it any more")
        elif name in STORED and digest(stored[name]) != wanted[name]:
            said.append("what MLflow stores is not what the training left")
        if name not in made:
            said.append("it was not made")
        elif digest(made[name]) != wanted.get(name):
            said.append("it was made otherwise" + _first(stored.get(name), made[name]))
        if said:
            found[name] = f"DIFFERS: {'; '.join(said)}"
    return found


def elsewhere(record: TrainingRecord) -> str:
    """What was different between then and now, beside what a record fixes."""
    then, now = (record.python, record.machine), training_record.here()
    if then == now:
        return f"Python {now[0]} on {now[1]} then and now."
    return f"Then it was Python {then[0]} on {then[1]}, now it is Python {now[0]} on {now[1]}."


def _first(before: bytes | None, after: bytes) -> str:
    """Where bytes part from those stored."""
    if before is None or before == after:
        return ""
    same = next((n for n, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), None)
    at = min(len(before), len(after)) if same is None else same
    return f", from byte {at:,} of the {len(before):,} stored"


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number: make reproduce VERSION=2 says which version")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
