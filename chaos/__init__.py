"""A storm: real workers, web processes and a real Redis, killed at random while threads run, and what became of them.

`make chaos` runs it; `make chaos SEED=7 THREADS=2000` repeats one, or makes it long. The faults follow from the seed;
when exactly they strike depends on the machine. ARCHITECTURE.md says what strikes and what is counted.
"""
