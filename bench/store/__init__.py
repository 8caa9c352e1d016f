"""Measurements of the processes on an object store, near and far, beside a folder and a plain loop of boto3."""
