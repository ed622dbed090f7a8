"""What a benchmark measures of its own process."""

import resource
import sys


def peak_mb() -> float:
    """The peak memory of this process so far, in MB."""
    unit = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
