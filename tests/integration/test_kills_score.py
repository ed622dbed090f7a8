"""A ``score`` killed at its calls: nothing half is left, and the next one completes it."""

from flows.ml import predictions
from tests.integration import calls
from tests.integration.home import MODEL, Home
from tests.integration.scored import MONTH, clear, found, whole
from tests.integration.warm import Warm

pytestmark = calls.timeout()


def test_killed_at_any_call_it_leaves_nothing_half_and_the_next_run_completes_it(served: Home, warm: Warm) -> None:
    parameters = {"model": MODEL, "month": MONTH}
    made = calls.of(warm, served.env, "score", **parameters)
    wanted, completed = found(served), 0
    clear(served)
    for moment in calls.leaving(made, served.objects, warm, served.env, "score", **parameters):
        left = predictions.find(served.lake, MODEL, MONTH, wanted.address, 1)
        assert left is None or whole(served), moment

        with warm.run("score", served.env, **parameters) as rerun:
            end = rerun.end()

        assert end["name"] == ("Unchanged" if left else "Scored"), moment
        assert whole(served), moment
        assert found(served).data == wanted.data, moment
        completed += 1
        clear(served)
    assert completed >= 2  # once the file is there, and once the manifest is
