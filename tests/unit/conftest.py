"""What all unit tests have in common."""

from hypothesis import settings

settings.register_profile("trainyard", deadline=None)  # a busy machine takes its time
settings.load_profile("trainyard")
