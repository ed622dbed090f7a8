"""The error of a deploy."""

from flows.ml.errors import TrainyardError


class NotDeployed(TrainyardError):
    """Why nothing, or not everything, was deployed, and what to do."""
