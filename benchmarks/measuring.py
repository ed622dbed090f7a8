"""What benchmarks share: calls of themselves, what they measure of a process, and what they need of the machine."""

import contextlib
import importlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
THREADS = 2


def call(benchmark: str, *arguments: str) -> str:
    """What a benchmark says that is called in a process of its own, with ``THREADS`` that sleep while they wait.

    So do those of runs.
    """
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", *arguments]
    threads = {"OMP_NUM_THREADS": str(THREADS), "POLARS_MAX_THREADS": str(THREADS), "OMP_WAIT_POLICY": "PASSIVE"}
    env = {**os.environ, **threads}
    return subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout


NOT_IN_PODS = ("pyarrow", "sklearn")
"""What MLflow's server brings to a laptop, and pandas and XGBoost import where they can: 57 MB of the first alone."""


def import_first(modules: Sequence[str], *, as_in_pods: bool = True) -> None:
    """Import modules before the clock runs, without those that pods do not have."""
    for module in NOT_IN_PODS if as_in_pods else ():
        sys.modules[module] = None  # type: ignore[assignment]
    for module in modules:
        importlib.import_module(module)


def peak_mb() -> float:
    """The peak memory of this process so far, in MB."""
    unit = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def peak_since(reset: bool = False) -> float:
    """The peak memory of this process in MB since it was last ``reset``; on macOS, which knows no such, that so far.

    With ``reset`` what it holds by now is the peak from here on.
    """
    if not (status := Path("/proc/self/status")).exists():
        return peak_mb()
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    if reset:
        status.with_name("clear_refs").write_text("5")
    return int(line.split()[1]) / 1e3


def memory_limit(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """What the machine has, or a container's limit where that is less; one without a limit says ``max``. In bytes."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):
        return min(machine, int(limit.read_text()))
    return machine


def require_memory(megabytes: float, what: str) -> None:
    """Leave the program, with a sentence, where less memory is free than something is known to take.

    That is of the machine's, or of the container's limit where it is less.
    """
    import psutil  # an image for flow runs has none

    free = min(psutil.virtual_memory().available, memory_limit()) / 1e6
    if free < megabytes:
        sys.exit(f"{what} takes about {megabytes:,.0f} MB and {free:,.0f} MB are free: take fewer rows, or free some.")


@dataclass
class Stages:
    """The parts of something that runs once: the seconds of each, and the process's peak of memory in MB by its end."""

    seconds: dict[str, float] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what the block takes; a stage that comes again adds up."""
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
        self.peak_mb[name] = peak_mb()

    def apart[**P, R](self, name: str, function: Callable[P, R], of: str) -> Callable[P, R]:
        """The function, counted as a stage of its own and not as the part of another that calls it."""

        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            before = self.seconds.get(name, 0.0)
            with self.stage(name):
                found = function(*args, **kwargs)
            self.seconds[of] = self.seconds.get(of, 0.0) - (self.seconds[name] - before)
            return found

        return timed
