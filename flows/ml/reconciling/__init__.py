"""What crashes leave in the lake and in MLflow, found and repaired.

Finding is pure, facts in, findings out: ``lake_findings``, ``registry_findings``, ``retention``, ``schedule``. ``facts``
reads and ``repairs`` writes. Which runs are under way is known to whoever calls.
"""
