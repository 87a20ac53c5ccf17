"""`make bench`: all the measurements, one after another; `python -m tests.benchmarks steps` takes one of them."""

import sys

from tests.benchmarks import gpu, large, online, search, startup, steps, sweeps

MEASUREMENTS = {
    "steps": steps.main,
    "startup": startup.main,
    "sweeps": sweeps.main,
    "search": search.main,
    "large": large.main,
    "online": online.main,
    "gpu": gpu.main,
}

for name in sys.argv[1:] or MEASUREMENTS:
    MEASUREMENTS[name]()
