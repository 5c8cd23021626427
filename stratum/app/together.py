"""Run a few jobs at once and get plain errors: a nursery without exception groups."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")


async def together(*jobs: Callable[[], Awaitable[T]]) -> list[T]:
    """Run all jobs concurrently and return their results in order.

    The first error cancels the others and is raised bare, so that callers can name what they
    catch. Cancellation from outside cancels all.
    """
    results: dict[int, T] = {}
    failed: list[Exception] = []

    async def run(number: int, job: Callable[[], Awaitable[T]], scope: trio.CancelScope) -> None:
        try:
            results[number] = await job()
        except Exception as error:
            failed.append(error)
            scope.cancel()

    async with trio.open_nursery() as nursery:
        for number, job in enumerate(jobs):
            nursery.start_soon(run, number, job, nursery.cancel_scope)
    if failed:
        raise failed[0]
    return [results[number] for number in range(len(jobs))]
