"""Measurements: `make bench` runs them all, prints the ratios and writes them to var/bench.json.

Each is a ratio to something that runs beside it in the same minute, since machines differ and are noisy.
"""
