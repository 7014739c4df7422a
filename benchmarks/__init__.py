"""How fast Pawl is, beside what the machine could do at all. `make bench`, or `python -m benchmarks --help`."""
