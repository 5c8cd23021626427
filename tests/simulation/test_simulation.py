"""A thousand histories with faults, each from its seed; and proof that the simulation would notice.

`make sim` plays five thousand, `make sim SEED=7` one."""

import pytest

from tests.simulation.sim_model import Broken
from tests.simulation.sim_world import Switches
from tests.simulation.simulate import run_seed

SEEDS = 1000
SEEDS_PER_TEST = 50
SEEDS_UNTIL_NOTICED = 200
SEEDS_THAT_FAILED = (17, 23)
"""Kept while the history they play is still the same. Both: a disk hung in one stripe of a write
and was waited for in the next, which ended the server."""


def leaves(error):
    """The errors in a tree of groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in leaves(each)]
    return [error]


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_PER_TEST))
def test_nothing_is_lost(first):
    acknowledged = sum(run_seed(seed)[1] for seed in range(first, first + SEEDS_PER_TEST))
    assert acknowledged > SEEDS_PER_TEST


@pytest.mark.parametrize("seed", SEEDS_THAT_FAILED)
def test_what_failed_once_does_not_fail_again(seed):
    run_seed(seed)


def test_equal_seeds_play_equal_histories():
    assert run_seed(3) == run_seed(3)
    assert run_seed(3) != run_seed(4)


@pytest.mark.slow
@pytest.mark.parametrize("safeguard", ["fsync", "read_back", "version_guard", "settle_staged"])
def test_without_a_safeguard_something_breaks(safeguard):
    with pytest.raises(BaseException) as broken:
        play(Switches(**{safeguard: False}))
    assert {type(leaf) for leaf in leaves(broken.value)} == {Broken}


def play(switches):
    for seed in range(SEEDS_UNTIL_NOTICED):
        run_seed(seed, switches)
