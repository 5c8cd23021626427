"""The tiering part of putting everything together: policy, prices, and what the policy learns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from stratum.adapters.hazard_solver import ArraySolver
from stratum.adapters.price_file import load_prices
from stratum.adapters.read_history import open_read_history
from stratum.app.config import Config
from stratum.app.history import ReadKeeper
from stratum.app.learning import Learning
from stratum.domain.names import Tier
from stratum.domain.policies import make_follower
from stratum.domain.rules import Rules
from stratum.ports import AccessLog, NowMs

T = TypeVar("T")


def tiering_rules(config: Config) -> Rules:
    """Policy, prices and tiers. Raises InvalidConfig."""
    tiers = tuple(tier for tier in Tier if tier in config.disks or config.remote)
    prices = load_prices(config.prices, config.patience)
    follower = make_follower(
        config.policy, prices, tiers, ArraySolver(), config.day_s, self_refreshing=False
    )
    return Rules(follower, prices, tiers, config.day_s)


@asynccontextmanager
async def open_learning(
    config: Config, access_log: AccessLog, rules: Rules, now_ms: NowMs
) -> AsyncIterator[Learning]:
    """What keeps the policy's knowledge and the reads, and works things out in threads."""
    keep_s = config.history_days * config.day_s
    async with open_read_history(config.read_history, now_ms()) as history:
        keeper = ReadKeeper(history, now_ms, keep_s=keep_s, session_ms=rules.session_ms)
        yield Learning(access_log, rules, now_ms, _off_loop, keeper)


async def _off_loop(work: Callable[[], T], /) -> T:
    return await trio.to_thread.run_sync(work)
