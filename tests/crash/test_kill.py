"""kill -9 under load, on real files: what was acknowledged is there, and nothing else is left.

`python -m tests.crash.soak` does the same for longer.
"""

import pytest

from tests.support.crash_run import MOVING, SETTINGS, CrashRun, remote_settings
from tests.support.faulty_proxy import faulty_proxy

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(3))
def test_acknowledged_writes_survive_a_kill(tmp_path, seed):
    run = CrashRun(tmp_path / "data", seed)
    run.kill_under_load()
    if seed == 1:
        run.kill_while_starting(0.7)
    outcome = run.verify()
    assert outcome.acknowledged >= 3
    assert outcome.keys == 40


@pytest.mark.parametrize("seed", [3])
def test_acknowledged_writes_survive_a_kill_while_volumes_move(tmp_path, seed):
    run = CrashRun(tmp_path / "data", seed, SETTINGS | MOVING)
    run.kill_under_load()
    run.verify()
    run.kill_under_load()
    assert run.verify().moves > 0


@pytest.mark.parametrize("seed", [5])
def test_acknowledged_writes_survive_a_kill_while_encrypted_volumes_move(tmp_path, seed):
    encrypted = {"STRATUM_ENCRYPTION_DEFAULT": "AES256"}
    run = CrashRun(tmp_path / "data", seed, SETTINGS | MOVING | encrypted)
    run.kill_under_load()
    run.verify()
    run.kill_under_load()
    assert run.verify().moves > 0


@pytest.mark.parametrize("seed", [4])
def test_acknowledged_writes_survive_a_kill_while_volumes_move_to_a_remote(tmp_path, seed):
    with remote_settings() as remote:
        run = CrashRun(tmp_path / "data", seed, SETTINGS | MOVING | remote)
        run.kill_under_load()
        run.verify()
        run.kill_under_load()
        assert run.verify().moves > 0


@pytest.mark.parametrize("seed", [5, 6])
def test_kills_while_the_remote_misbehaves(tmp_path, seed):
    """Errors, silence, broken and wrong answers on half of the requests to the remote: nothing
    acknowledged is lost, and once the remote works again nothing is left over there."""
    name = "STRATUM_TIERS_COLD_ENDPOINT"
    with remote_settings() as remote, faulty_proxy(remote[name], seed, 0.5) as (proxy, url):
        own = {
            name: url,
            "STRATUM_TIERS_COLD_PREFIX": f"{tmp_path.name}/",
            "STRATUM_TIERING_BACKOFF_S": "0.05",
        }
        run = CrashRun(tmp_path / "data", seed, SETTINGS | MOVING | remote | own, remote_fails=True)
        for round_ in range(8):
            proxy.share = 0.5
            run.kill_under_load()
            proxy.share = 0.0
            moves = run.verify().moves
            if round_ >= 1 and moves and proxy.faults >= 5:
                return
        pytest.fail(f"{moves} moves, {proxy.faults} faults")
