"""Kill the server again and again on the same data: `python -m tests.crash.soak --runs 50`.

Volumes move between all three tiers meanwhile (the remote one is moto), every third run is also
killed while it starts, and after every run all keys, the audit and the replay are verified.
Ends with 0 when nothing was lost, else with the error that says what.
"""

import argparse
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.support.crash_run import MOVING, SETTINGS, CrashRun, remote_settings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    rng = random.Random(options.seed)
    acknowledged = 0
    with tempfile.TemporaryDirectory(prefix="stratum-soak-") as folder, remote_settings() as remote:
        run = CrashRun(Path(folder) / "data", options.seed, SETTINGS | MOVING | remote)
        for number in range(1, options.runs + 1):
            began = time.monotonic()
            run.kill_under_load()
            if number % 3 == 0:
                run.kill_while_starting(rng.uniform(0.3, 1.5))
            outcome = run.verify()
            acknowledged += outcome.acknowledged
            took_s = time.monotonic() - began
            print(f"run {number}: {outcome}; {took_s:.1f} s", flush=True)
    print(f"{options.runs} kills, {acknowledged} requests acknowledged, nothing lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
