"""Jobs that may outlive whoever waits for them: a hung disk must not hold a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

import trio

from stratum.domain.errors import StratumError, Unavailable

T = TypeVar("T")


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
        self._changed = trio.Event()
        self._failure: Exception | None = None
        self.results: dict[int, Result[T]] = {}

    def begin(self, index: int, job: Callable[[], Awaitable[T]]) -> None:
        """Start a job. A StratumError is its result; any other error is raised by who waits."""
        result = self.results[index] = Result[T]()
        self._crew.start(self._run, job, result)

    async def _run(self, job: Callable[[], Awaitable[T]], result: Result[T]) -> None:
        try:
            result.value = await job()
        except StratumError as error:
            result.error = error
        except trio.Cancelled:
            result.error = Unavailable("The server is stopping")
            raise
        except Exception as error:
            self._failure = error
        finally:
            result.done = True
            self._changed.set()

    @property
    def succeeded(self) -> int:
        """How many jobs have ended well."""
        return sum(r.done and r.error is None for r in self.results.values())

    @property
    def under_way(self) -> list[int]:
        """Indices of the jobs that have not ended."""
        return [index for index, result in self.results.items() if not result.done]

    async def ended(self, index: int) -> None:
        """Wait until one job has ended, well or not."""
        while not self.results[index].done:
            await self._next()

    async def _next(self) -> None:
        """Wait until any job ends. Several may wait."""
        if self._changed.is_set():
            self._changed = trio.Event()
        await self._changed.wait()

    async def until(self, enough: int) -> None:
        """Wait until so many jobs have ended well, or all have ended."""
        while self.under_way and self.succeeded < enough:
            await self._next()
        if self._failure is not None:
            raise self._failure

    async def until_all(self) -> None:
        """Wait until all jobs have ended, well or not."""
        await self.until(len(self.results) + 1)


class Crew:
    """Where such jobs run. Without a nursery of its own it runs them in Trio's system tasks."""

    def __init__(self, nursery: trio.Nursery | None = None) -> None:
        self._nursery = nursery

    def start(self, function: Callable[..., Awaitable[None]], *args: object) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(function, *args)
        else:
            trio.lowlevel.spawn_system_task(function, *args)

    def round(self, jobs: Mapping[int, Callable[[], Awaitable[T]]]) -> Round[T]:
        """Begin jobs together."""
        begun: Round[T] = Round(self)
        for index, job in jobs.items():
            begun.begin(index, job)
        return begun
