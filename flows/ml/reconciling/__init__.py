"""What crashes leave in the lake and in MLflow, found and repaired.

Finding is pure, facts in and findings out: ``lake_findings``, ``registry_findings``, ``retention``, ``schedule``. What
they are given ``facts`` reads, what they ask for ``repairs`` does. Which runs are under way is known to whoever calls.
"""
