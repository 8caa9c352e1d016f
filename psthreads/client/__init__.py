"""The Python client and the command line. Speaks HTTP only."""

from psthreads.client.client import Client
from psthreads.client.remote import ClientError, RemoteElement, RemotePage, RemoteParameter, RemoteProcess, RemoteThread
from psthreads.client.transport import Download

__all__ = [
    "Client",
    "ClientError",
    "Download",
    "RemoteElement",
    "RemotePage",
    "RemoteParameter",
    "RemoteProcess",
    "RemoteThread",
]
