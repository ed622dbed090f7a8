"""What crashes leave in the lake and in MLflow, found and repaired.

Finding is pure, facts in, findings out: ``lake_findings``, ``registry_findings``, ``retention``, ``schedule``. ``facts``
reads what they are given, ``repairs`` does what they ask for. Which runs are under way is known to whoever calls.
"""
