# SPDX-License-Identifier: Apache-2.0
"""What tests allow for: a machine that keeps processes waiting, or stands still as a whole."""

import os
import subprocess
import sys
import time

import pytest
import rig


def test_two_that_share_a_core_wait_for_each_other() -> None:
    core = min(os.sched_getaffinity(0))
    code = f'import os; os.sched_setaffinity(0, [{core}]); print(flush=True)\nwhile True: pass'
    children = [subprocess.Popen([sys.executable, '-S', '-c', code], stdout=subprocess.PIPE)
                for _ in range(2)]
    try:
        for child in children:
            child.stdout.readline()
        before = [rig.waited(child.pid) for child in children]
        time.sleep(0.4)
        found = sum(rig.waited(child.pid) for child in children) - sum(before)
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert found >= 0.3  # one of them always waits


def test_a_witness_tells_what_its_ticks_lacked(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(rig.time, 'monotonic', lambda: now[0])
    witness = rig.Witness(0.01)
    for after in (0.01, 0.011, 0.009, 0.05, 0.01, 0.03):
        now[0] += after
        witness.tick()
    assert witness.late(100.0) == pytest.approx(0.04 + 0.02)
    assert witness.late(100.09) == pytest.approx(0.02)
    now[0] += 0.5  # and stands still now
    assert witness.late(100.2) == pytest.approx(0.49)
