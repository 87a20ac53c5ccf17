"""Measured claims: `make bench`. Ratios within one run, medians over repeats, with machine, versions and date."""
