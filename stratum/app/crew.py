"""Jobs that may outlive whoever waits for them: a hung disk must not hold a request."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

import trio

from stratum.domain.errors import StratumError, Unavailable

T = TypeVar("T")

log = logging.getLogger("stratum.crew")


class Result(Generic[T]):
    """What came of one job; `done` is False while it is under way."""

    __slots__ = ("done", "error", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: T | None = None
        self.error: StratumError | None = None


class Round(Generic[T]):
    """Some jobs begun together. More can be added while one waits."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._failure: Exception | None = None
        self._left = 0
        self._succeeded = 0
        # Whoever waits is woken once, not by each job that ends: that would be most of the cost.
        self._waiting: list[tuple[Callable[[], bool], trio.Event]] = []
        self.results: dict[int, Result[T]] = {}

    def begin(self, index: int, job: Callable[[], Awaitable[T]]) -> None:
        """Start a job. A StratumError is its result; any other error is raised by who waits."""
        result = self.results[index] = Result[T]()
        self._left += 1
        self._crew.start(self._run, job, result)

    async def _run(self, job: Callable[[], Awaitable[T]], result: Result[T]) -> None:
        try:
            result.value = await job()
            self._succeeded += 1
        except StratumError as error:
            result.error = error
        except trio.Cancelled:
            result.error = Unavailable("The server is stopping")
            raise
        except Exception as error:
            self._failure = error
        finally:
            result.done = True
            self._left -= 1
            for is_over, event in self._waiting:
                if is_over():
                    event.set()

    @property
    def under_way(self) -> list[int]:
        """Indices of the jobs that have not ended."""
        if not self._left:
            return []
        return [index for index, result in self.results.items() if not result.done]

    async def ended(self, index: int) -> None:
        """Wait until one job has ended, well or not."""
        await self._wait(lambda: self.results[index].done)

    async def until(self, enough: int) -> None:
        """Wait until so many jobs have ended well, or all have ended."""
        await self._wait(lambda: not self._left or self._succeeded >= enough)
        if self._failure is not None:
            raise self._failure

    async def until_all(self) -> None:
        """Wait until all jobs have ended, well or not."""
        await self.until(len(self.results) + 1)

    async def _wait(self, is_over: Callable[[], bool]) -> None:
        if is_over():
            return
        waiter = (is_over, trio.Event())
        self._waiting.append(waiter)
        try:
            await waiter[1].wait()
        finally:
            self._waiting.remove(waiter)


class Crew:
    """Where such jobs run. Without a nursery of its own it runs them in Trio's system tasks."""

    def __init__(self, nursery: trio.Nursery | None = None) -> None:
        self._nursery = nursery

    def start(self, function: Callable[..., Awaitable[None]], *args: object) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(_contained, function, *args)
        else:
            trio.lowlevel.spawn_system_task(_contained, function, *args)

    def round(self, jobs: Mapping[int, Callable[[], Awaitable[T]]]) -> Round[T]:
        """Begin jobs together."""
        begun: Round[T] = Round(self)
        for index, job in jobs.items():
            begun.begin(index, job)
        return begun


async def _contained(function: Callable[..., Awaitable[None]], *args: object) -> None:
    """Nobody waits for a job that was left behind: its defect must not take the store down."""
    try:
        await function(*args)
    except Exception:
        log.exception("a job on a disk failed")
