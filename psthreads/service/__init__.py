"""The service without the web: what a Python program starts, follows and cancels threads with."""
