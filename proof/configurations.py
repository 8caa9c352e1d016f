"""The configurations that are searched: small ones, and those that take long."""

from __future__ import annotations

from typing import Final

from proof.configuration import Configuration, Kind

_PLAIN: Final = Kind()
_RESTARTABLE: Final = Kind(restartable=True)
_CHANGER: Final = Kind(exclusive=True)
_SERVER_WIDE: Final = Kind(server_wide=True)

SINGLE: Final = Configuration("a restart", (_RESTARTABLE,), workers=1, kills=1, stops=1)
LEASES: Final = Configuration("a lapse", (_RESTARTABLE,), kills=1, lapses=2, late=1, stale=1)
ANSWERS: Final = Configuration("lost answers", (_PLAIN,), workers=1, lost=2, kills=1)
CLIENTS: Final = Configuration(
    "a cancel", (_RESTARTABLE,), workers=1, kills=1, cancels=1, deletes=1, repeats=1, stops=1
)
SHARED: Final = Configuration("one slot", (_PLAIN, _PLAIN), workers=1, cancels=1, stale=1)
EXCLUSIVE: Final = Configuration("changers", (_CHANGER, _CHANGER), workers=1, share=2)
NEXT: Final = Configuration("the next thread", (_PLAIN, _PLAIN), workers=1, crashes=1, lost=1, late=1)

SMALL: Final = (
    *(SINGLE, LEASES, ANSWERS, CLIENTS, SHARED, EXCLUSIVE, NEXT),
    Configuration("a crash", (_PLAIN,), workers=1, crashes=2, stops=1, cancels=1),
    Configuration("a server-wide thread", (_SERVER_WIDE, _PLAIN), workers=1, kills=1),
    Configuration("a changer and one that may restart", (_RESTARTABLE, _CHANGER), kills=1, lapses=1, cancels=1),
    Configuration("retention", (_PLAIN, _PLAIN), workers=1, expiries=2, deletes=1),
)
"""What every change is searched for, in less than a minute."""

LARGE: Final = (
    Configuration(
        "everything, one thread",
        (_RESTARTABLE,),
        kills=1,
        crashes=1,
        stops=1,
        lapses=1,
        lost=1,
        late=1,
        stale=1,
        cancels=1,
        forces=1,
        deletes=1,
    ),
    Configuration("a server-wide thread beside a group's", (_SERVER_WIDE, _RESTARTABLE), kills=1, lapses=1, lost=1),
    Configuration("two threads, two slots", (_PLAIN, _PLAIN), share=2, kills=2, lapses=2, lost=1),
    Configuration("three threads, three workers", (_PLAIN, _PLAIN, _PLAIN), workers=3, kills=2, lapses=2, lost=1),
)
"""What takes minutes: `make prove FULL=1`."""
