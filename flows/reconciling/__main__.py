"""``python -m flows.reconciling``: a reconcile that needs no Prefect. On a cluster the CronJob of the chart runs it."""

import argparse
import sys
from datetime import UTC, datetime, timedelta

from flows.ml.errors import TrainyardError
from flows.ml.reconciling.finding import Kind
from flows.ml.settings import load
from flows.reconciling import alert, opening, report
from flows.reconciling.whole import Reconcile


def main() -> int:
    """Print what was found and done; exit status 1 where something failed, needs a person, or ``monthly`` is late."""
    parser = argparse.ArgumentParser(prog="python -m flows.reconciling", description=__doc__)
    parser.add_argument("--repair", action="store_true", help="repair what is found; without it nothing is changed")
    parser.add_argument("--release", default="", help="look at the Jobs of this release, by the pod's service account")
    parser.add_argument("--settle-minutes", type=float, help="how long runs and Jobs must have been as they are")
    parser.add_argument("--stale-hours", type=float, help="how old objects and MLflow runs must be; runs take up to 10")
    given = parser.parse_args()
    try:
        settings = load()
        limits = opening.limits(settings, settle=_minutes(given.settle_minutes), stale=_hours(given.stale_hours))
        systems = opening.systems(settings, given.release)
        found = Reconcile(systems, limits, datetime.now(UTC), not given.repair).run()
        sys.stdout.write(report.text(found))
        late = [one.finding for one in found.outcomes if one.finding.kind is Kind.NO_MONTHLY]
        if late and given.repair:
            alert.send(settings, late)
    except TrainyardError as error:
        sys.stderr.write(f"trainyard: {error}\n")
        return 1
    return int(found.failed)


def _minutes(given: float | None) -> timedelta | None:
    return None if given is None else timedelta(minutes=given)


def _hours(given: float | None) -> timedelta | None:
    return None if given is None else timedelta(hours=given)


if __name__ == "__main__":
    sys.exit(main())
