"""`make bench`: all the measurements, one after another."""

from tests.benchmarks import steps

steps.main()
