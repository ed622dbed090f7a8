"""The root of the named errors: each says in a sentence what happened and what to do."""


class TrainyardError(Exception):
    """A failure an operator can act on: its text carries the fact and the remedy."""
