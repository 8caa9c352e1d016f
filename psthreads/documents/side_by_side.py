"""Work on many items side by side, with its results in order: for backends whose every request takes a while."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, Generic, Self, TypeVar

from psthreads.domain.errors import PsthreadsError

T = TypeVar("T")
R = TypeVar("R")

WINDOW: Final = 24
"""The number of requests on their way at once where many objects are read or written."""

BYTES_AHEAD: Final = 16 * 1024 * 1024
"""The most bytes in memory for them."""

OF_ONE: Final = (PsthreadsError, OSError)
"""The errors that are about one item. Whatever else the work raises is raised when the item's turn comes."""


class Helpers:
    """Python threads that do what is submitted, in that order; they are started where there is work, until `close`.

    These are no executor: an interrupt, which is raised in whatever executors do, lets a request in progress end.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, work: Callable[[], R]) -> Future[R]:
        """Have the work done, and return its future result."""
        future: Future[R] = Future()
        self._tasks.put((future, work))
        if len(self._threads) < self._most:
            thread = threading.Thread(target=self._serve, name="psthreads-store", daemon=True)
            thread.start()
            self._threads.append(thread)
        return future

    def close(self) -> None:
        """Wait for what is submitted, and for the end of the threads."""
        for _ in self._threads:
            self._tasks.put(None)
        while self._threads:
            self._threads[-1].join()
            self._threads.pop()

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, work = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 (for whoever waits for the result)
                future.set_exception(error)
            else:
                future.set_result(result)


class InOrder(Generic[T, R]):
    """An iterator over items, each with what the work returned, or the error OF_ONE that it raised, in order.

    As many items are ahead of their turn as fit a bound of requests, twice the `width`, and one of bytes, by the `size`
    of each. With no `width`, the work is done when its turn comes. Whoever does not iterate to the end calls `close`.
    """

    def __init__(
        self, work: Callable[[T], R], items: Iterable[T], width: int = 0, size: Callable[[T], int] = lambda _: 0
    ) -> None:
        self._work = work
        self._items = iter(items)
        self._width = width
        self._size = size
        self._ahead: deque[tuple[T, Future[R]]] = deque()
        self._bytes_ahead = 0
        self._helpers = Helpers(width)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[T, R | Exception]:
        if not self._width:
            item = next(self._items)
            try:
                return item, self._work(item)
            except OF_ONE as error:
                return item, error
        self._fill()
        if not self._ahead:
            self._helpers.close()
            raise StopIteration
        item, future = self._ahead[0]
        failure = future.exception()
        self._ahead.popleft()
        self._bytes_ahead -= self._size(item)
        if failure is None:
            return item, future.result()
        if not isinstance(failure, OF_ONE):
            raise failure
        return item, failure

    def stop(self) -> None:
        """Begin with no further item: what is left to iterate over are those on their way."""
        self._items = iter(())
        while self._ahead and self._ahead[-1][1].cancel():
            item, _ = self._ahead.pop()
            self._bytes_ahead -= self._size(item)

    def close(self) -> None:
        """Stop, and wait for those on their way."""
        self.stop()
        self._helpers.close()

    def _fill(self) -> None:
        while len(self._ahead) < 2 * self._width and (not self._ahead or self._bytes_ahead < BYTES_AHEAD):
            if (item := next(self._items, None)) is None:
                return
            self._ahead.append((item, self._helpers.submit(lambda item=item: self._work(item))))  # type: ignore[misc]
            self._bytes_ahead += self._size(item)


def side_by_side(
    work: Callable[[T], R], items: Iterable[T], size: Callable[[T], int] = lambda _: 0
) -> Generator[tuple[T, R | Exception], None, None]:
    """Yield what InOrder does with a WINDOW of requests; they end with the iterator."""
    ahead = InOrder(work, items, WINDOW, size)
    try:
        yield from ahead
    finally:
        ahead.close()
