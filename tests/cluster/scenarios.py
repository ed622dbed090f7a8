"""What comes upon runs of a lab, each a function from the lab to how its run ended: so that many are begun at once."""

from functools import partial

from prefect.client.schemas.objects import FlowRun

from tests.cluster.faults import EVERY, START, Ended, Lab

MODELS = (
    *("pod-deleted", "pod-killed", "out-of-memory", "deadline", "put-back"),
    *("no-image", "no-room", "worker-killed", "worker-replaced", "job-lost"),
    *("api-restarted", "mlflow-away"),
    *("cancelled-unstarted", "cancelled-hanging", "same-moment"),
)
"""A model for each fault, so that their runs do not meet."""
PENDING = 480.0
"""Seconds within which a run is closed whose pod does not start: 240 (prefect.pendingSeconds of the laptop's values)
and the time that a busy machine takes."""
GONE = 90.0 + START
"""Seconds within which a run ends whose processes were killed, on a busy machine, run again by itself meanwhile."""
CANCELLED = 300.0
"""Seconds within which a cancelled run ends that does not end itself: Prefect ends it after 60, and a busy machine
takes its time."""
MOST = 10
"""How often a run may be started: five times, since that ends it; and where it crashed meanwhile as often once more."""
LATE = "deadline of the Job reached, each time"


def no_image(lab: Lab) -> Ended:
    run = lab.start("no-image", image="trainyard/flows:is-not-there")
    return lab.end("image tag that does not exist", run, PENDING)


def no_room(lab: Lab) -> Ended:
    run = lab.start("no-room", cpu_request="900", cpu_limit="900")
    return lab.end("request that no node has room for", run, PENDING)


def deleted(lab: Lab) -> Ended:
    run = lab.start("pod-deleted", slow=0.15)
    pod = lab.training(run)
    argv = ("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
    return lab.end("pod deleted with grace 0 mid-training", run, START, lambda: lab.platform.kubectl(*argv))


def killed(lab: Lab) -> Ended:
    run = lab.start("pod-killed", slow=0.3)
    pod = lab.training(run)
    return lab.end("every process of the pod killed mid-training", run, GONE, lambda: lab.kill(pod))


def starved(lab: Lab) -> Ended:
    run = lab.start("out-of-memory", slow=0.3, hungry=True)
    lab.training(run)
    return lab.end("memory limit reached mid-training", run, GONE)


def late(lab: Lab) -> Ended:
    run = lab.start("deadline", slow=2.0, deadline_seconds=90)
    return lab.end(LATE, run, 3 * START)


def put_back(lab: Lab) -> Ended:
    run = lab.start("put-back", slow=2.0)

    def take_away() -> None:
        """Each pod it starts in. One may crash before it has put its run back, and such a start is not counted."""
        times = 0
        while times < MOST and not (now := lab.until(run, START, partial(begun_anew, times))).state.is_final():
            times = now.run_count
            lab.platform.kubectl("delete", "pod", lab.pod(now), "--wait=false")

    return lab.end("pod taken away each time", run, START, take_away)


def begun_anew(times: int, run: FlowRun) -> bool:
    """Whether a run is under way and was started more than so many times."""
    return bool(run.state and run.state.is_running() and run.run_count > times)


def unstarted(lab: Lab) -> Ended:
    run = lab.start("cancelled-unstarted", cpu_request="900", cpu_limit="900")
    run = lab.platform.wait(run, START, lambda run: bool(run.infrastructure_pid), every=EVERY)
    return lab.end("cancelled before its pod has started", run, CANCELLED, lambda: lab.cancel(run))


def hanging(lab: Lab) -> Ended:
    run = lab.start("cancelled-hanging", slow=0.3)
    with lab.frozen(lab.training(run)):
        return lab.end("cancelled while its processes hang", run, CANCELLED, lambda: lab.cancel(run))


NEVER_STARTED = {"no image": no_image, "no room": no_room}
"""Runs whose pods never start."""
PODS = {each.__name__: each for each in (put_back, late, deleted, killed, starved, unstarted, hanging)}
"""Runs whose pod is taken away, killed or starved."""
