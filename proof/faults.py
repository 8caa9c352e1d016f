"""Faults that are planted into the scripts on purpose: a search that does not find one of them proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from proof.configuration import Configuration
from proof.configurations import ANSWERS, CLIENTS, EXCLUSIVE, LEASES, NEXT, SHARED, SINGLE


@dataclass(frozen=True, slots=True)
class Fault:
    """A change of a script: one text in the place of another; and the configuration in which it does harm."""

    words: str
    script: str
    old: str
    new: str
    configuration: Configuration

    def plant(self, script: str, text: str) -> str:
        """Return the text of a script with the fault, if it is this one. Raises ValueError where it does not fit."""
        if self.script not in {script, "common"}:
            return text
        count = text.count(self.old)
        # A script has of the prelude only what it uses.
        if count > 1 or (not count and self.script == script):
            raise ValueError(f"The scripts have changed: '{self.words}' cannot be planted any more")
        return text.replace(self.old, self.new)


def _of_executions() -> Iterator[Fault]:
    yield Fault("a dead execution ends a thread", "finish", "or meta.token ~= token then", "then", LEASES)
    yield Fault("a thread ends twice", "finish", "if not is_over then", "if true then", ANSWERS)
    yield Fault(
        "a janitor ignores a renewal", "abandon", "redis.call('ZSCORE', LEASES, id) ~= ARGV[4]", "false", LEASES
    )
    yield Fault("a janitor has no patience", "abandon", "if tonumber(ARGV[5]) <", "if false and 0 <", SINGLE)
    yield Fault(
        "a dead execution gives a thread up",
        "abandon",
        "elseif not owns(meta, token) then",
        "elseif false then",
        LEASES,
    )
    yield Fault("a restart is not counted", "abandon", "meta.restarts = meta.restarts + 1", "", SINGLE)
    yield Fault(
        "one restart too many",
        "abandon",
        "meta.restarts < setting('restarts')",
        "meta.restarts <= setting('restarts')",
        LEASES,
    )
    yield Fault(
        "a cancelled thread is queued again",
        "abandon",
        "if meta.cancelling then\n  conclude",
        "if false then\n  conclude",
        CLIENTS,
    )
    yield Fault("what ran counts as not begun", "abandon", "ARGV[6] == '' and meta", "false and meta", SINGLE)
    yield Fault(
        "a running thread is claimed",
        "common",
        "meta.status ~= 'initialised' or meta.waits or meta.token then return {0}",
        "FINAL[meta.status] then return {0}",
        LEASES,
    )
    yield Fault(
        "a claim has no lease", "common", "  renew_lease(id, meta, now)\n  return permit", "  return permit", SINGLE
    )
    yield Fault(
        "a claim cannot be asked for again",
        "claim",
        "if owns(meta, token) and meta.status ~= 'initialised' then",
        "if false then",
        ANSWERS,
    )
    yield Fault(
        "a cancelled thread may be claimed again",
        "common",
        "if not meta.cancelling then return permit",
        "if true then return permit",
        CLIENTS,
    )
    yield Fault(
        "an execution that was given up goes on with the next thread",
        "finish",
        "if is_over then",
        "if false then",
        NEXT,
    )
    yield Fault(
        "the next thread is forgotten where an answer was lost",
        "finish",
        "if not owns(next_meta, other) then return",
        "if true then return",
        NEXT,
    )
    yield Fault("nobody gives the next thread back", "common", "== ':' .. token then", "== token then", NEXT)
    yield Fault(
        "a dead execution reports",
        "report",
        "if not owns(meta, ARGV[2]) or",
        "if not meta or FINAL[meta.status] or",
        LEASES,
    )
    yield Fault(
        "a report of one that has ended is taken",
        "report",
        "if not owns(meta, ARGV[2]) or meta.status == 'initialised' then",
        "if not meta then",
        LEASES,
    )
    yield Fault("a report counts twice", "common", "report.number <= (meta.report or 0)", "false", ANSWERS)
    yield Fault(
        "the heartbeat of a dead execution counts", "beat", "or not owns(meta, token) then", "or not meta then", LEASES
    )
    yield Fault(
        "a supervisor's heartbeat does not ask who owns the thread",
        "beat_all",
        "owns(meta, token) and",
        "meta and",
        LEASES,
    )
    yield Fault("a supervisor's heartbeat hides a cancel", "beat_all", " and not meta.cancelling", "", CLIENTS)
    yield Fault("a heartbeat renews nothing", "beat", "renew_lease(id, meta, now)\nif", "if", SINGLE)
    yield Fault(
        "a cancel is forgotten",
        "cancel",
        "meta.cancelling, meta.cancelled_by, meta.cancel_asked = true, by, now\n    meta.message",
        "meta.message",
        CLIENTS,
    )
    yield Fault(
        "an end forgets the cancel",
        "common",
        "if meta.cancelling then\n    if status ~=",
        "if false then\n    if status ~=",
        CLIENTS,
    )
    yield Fault("a thread has ended and is being cancelled", "common", "    meta.cancelling = nil\n", "", CLIENTS)
    yield Fault(
        "a cancel reaches a thread that has ended", "cancel", "elseif not FINAL[meta.status] then", "else", CLIENTS
    )
    yield Fault(
        "a running thread is deleted",
        "delete",
        "if not FINAL[meta.status] and not damaged[id] then return 'active' end",
        "",
        CLIENTS,
    )
    yield Fault("a deleted thread is still listed", "delete", "depart(by_status(meta), meta.status, id)", "", CLIENTS)
    yield Fault("the files of a deleted thread stay", "common", "redis.call('ZADD', TOMBSTONES, at, id)", "", SINGLE)


def _of_places() -> Iterator[Fault]:
    yield Fault("an end keeps the slot", "common", "  leave(id, meta)\n  local retention", "  local retention", SINGLE)
    yield Fault(
        "an end keeps the lease",
        "common",
        "  release(id, meta)\n  leave(id, meta)\n  local",
        "  leave(id, meta)\n  local",
        SINGLE,
    )
    yield Fault(
        "an end keeps what excludes others",
        "common",
        "if meta.exclusive or damaged[id] then redis.call('SREM', changes(meta.groupid), id) end",
        "",
        EXCLUSIVE,
    )
    yield Fault(
        "one slot too many",
        "common",
        "while redis.call('SCARD', slots(group)) < share() do",
        "while redis.call('SCARD', slots(group)) <= share() do",
        SHARED,
    )
    yield Fault(
        "a start takes a slot too many",
        "common",
        "redis.call('SCARD', slots(group)) >= share()",
        "redis.call('SCARD', slots(group)) > share()",
        SHARED,
    )
    yield Fault(
        "two that exclude each other are promoted",
        "common",
        "if redis.call('SCARD', changes(group)) < setting('group_changes') then\n      local other",
        "if true then\n      local other",
        EXCLUSIVE,
    )
    yield Fault(
        "two that exclude each other are started",
        "common",
        "if meta.exclusive and redis.call('SCARD'",
        "if false and redis.call('SCARD'",
        EXCLUSIVE,
    )
    yield Fault("an admitted thread has no slot", "common", "redis.call('SADD', slots(meta.groupid), id)", "", SINGLE)
    yield Fault("nobody knows what is queued", "common", "  redis.call('ZADD', QUEUED, meta.created, id)\n", "", SINGLE)
    yield Fault("a thread is put into no queue", "common", "  redis.call(where, QUEUE, id)\n", "", SINGLE)
    yield Fault(
        "a queued thread has an owner",
        "common",
        "meta.token, meta.worker, meta.lease, meta.report, meta.rates = nil",
        "meta.worker, meta.lease, meta.report, meta.rates = nil",
        SINGLE,
    )
    yield Fault("a queued thread has a lease", "common", "  release(id, meta)\n  meta.token", "  meta.token", SINGLE)
    yield Fault(
        "a thread stays on the list of its last status",
        "common",
        "if from then depart(by_status(meta), from, id) end",
        "",
        SINGLE,
    )
    yield Fault(
        "a thread that has ended is listed as active",
        "common",
        "    depart(by_state(meta), 'active', id)\n    enter",
        "    enter",
        SINGLE,
    )
    yield Fault(
        "a thread that waits is on no list",
        "common",
        "redis.call('RPUSH', (meta.exclusive and waiting_changes or waiting)(meta.groupid), id)",
        "",
        SHARED,
    )
    yield Fault(
        "the group of a waiting thread is forgotten",
        "common",
        "  redis.call('SADD', WAITING, meta.groupid)\n",
        "",
        SHARED,
    )
    yield Fault(
        "a thread that was cancelled while it waited is promoted",
        "common",
        "if meta and meta.waits and meta.status == 'initialised' then return id, meta end",
        "if meta then return id, meta end",
        SHARED,
    )
    yield Fault(
        "the janitor queues what runs",
        "recover",
        "or meta.status ~= 'initialised' or meta.token or meta.waits",
        "or FINAL[meta.status]",
        LEASES,
    )
    yield Fault("the janitor queues what waits for a slot", "recover", "or meta.waits then", "then", SHARED)
    yield Fault("the janitor does not see what was taken", "survey", "taken[#taken + 1] = id", "", SINGLE)
    yield Fault(
        "a claim leaves the thread among those that are queued", "claim", "redis.call('ZREM', QUEUED, id)\n", "", SINGLE
    )
    yield Fault(
        "a thread that has ended is not on its member's list",
        "common",
        "    enter(by_owner(meta), 'finished', id, now, true)\n",
        "",
        SINGLE,
    )
    yield Fault(
        "a start that is sent twice counts twice",
        "start",
        "if redis.call('EXISTS'",
        "if false and redis.call('EXISTS'",
        CLIENTS,
    )
    yield Fault(
        "a thread that is given back counts as restarted",
        "abandon",
        "if has_begun then\n  meta.restarts",
        "if true then\n  meta.restarts",
        LEASES,
    )
    yield Fault("a thread that may not restart does", "abandon", "meta.restartable and not", "not", ANSWERS)
    yield Fault(
        "a waiting thread forgets that it waits no more",
        "common",
        "meta.waits, meta.message = nil, ",
        "meta.message = ",
        SHARED,
    )
    yield Fault("a repeat starts another thread", "start", "if fingerprint then", "if false then", CLIENTS)
    yield Fault(
        "what has ended is kept for ever", "common", "  redis.call('PEXPIRE', JOB .. id, retention)\n", "", SINGLE
    )


FAULTS: Final = (*_of_executions(), *_of_places())
