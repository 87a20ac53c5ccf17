"""`make bench`: all the measurements, one after another."""

from tests.benchmarks import startup, steps

steps.main()
startup.main()
