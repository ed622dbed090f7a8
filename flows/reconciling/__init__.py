"""A reconcile as a whole: what Prefect, Kubernetes, the lake and MLflow hold, found and repaired.

``runs`` finds, ``orchestrator`` speaks to Prefect, ``jobs`` to Kubernetes; ``whole`` puts all of it together. It runs
as the flow ``reconcile`` and, where Prefect may be away, as ``python -m flows.reconciling``.
"""
