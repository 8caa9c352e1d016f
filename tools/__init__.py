"""Commands for those who change psthreads."""
