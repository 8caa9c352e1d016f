"""Claims about a process that forks, and reads and writes the marker in an object store all the same."""

from __future__ import annotations

import subprocess
import sys

from psthreads.documents.marker import StoreRecord
from psthreads.documents.objects.client import ObjectStore
from tools.object_store import ObjectServer

# For a process of its own, which has never used the store itself.
_ASK_APART = """
import sys
from psthreads.documents.objects.apart import MarkerApart
marker = MarkerApart(*sys.argv[1:])
print(marker.read(), marker.has_files(), marker.highest("group"))
marker.create()
marker.replace("ab")
marker.note_id("group", 7)
print(marker.is_of("ab"), marker.is_of("cd"), marker.highest("group"))
marker.note_ids_of_folders()
marker.note_ticks(12)
print(marker.read(), marker.highest("group"), marker.highest("member"))
"""


def test_a_process_that_forks_asks_for_everything_in_children(object_server: ObjectServer) -> None:
    url = object_server.new_url()
    ObjectStore(url, object_server.endpoint).put("loading/9/41~upload/a.zip", b"")
    command = [sys.executable, "-c", _ASK_APART, url, object_server.endpoint]
    lines = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout.splitlines()
    record = StoreRecord("ab", is_confirmed=True, ticks=12, claims=0)
    assert lines == ["None True 0", "True False 7", f"{record} 9 41"]
