# SPDX-License-Identifier: Apache-2.0
"""Stalls of the machine, for which tests with time limits make allowance."""

import os
from pathlib import Path
import subprocess
import sys
import time

import pytest
import stalls


@pytest.mark.skipif(not Path('/proc/self/schedstat').exists(), reason='the kernel counts nothing')
def test_two_that_share_a_core_wait_for_each_other() -> None:
    core = min(os.sched_getaffinity(0))
    code = f'import os; os.sched_setaffinity(0, [{core}]); print(flush=True)\nwhile True: pass'
    children = [subprocess.Popen([sys.executable, '-S', '-c', code], stdout=subprocess.PIPE)
                for _ in range(2)]
    try:
        for child in children:
            child.stdout.readline()
        began, before = time.monotonic(), sum(stalls.waited(child.pid) for child in children)
        while sum(stalls.waited(child.pid) for child in children) < before + 0.3:
            assert time.monotonic() < began + 10.0
            time.sleep(0.02)
        took = time.monotonic() - began
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert took > 0.14  # no more than both of them can wait


def test_a_witness_tells_what_its_ticks_lacked(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(stalls.time, 'monotonic', lambda: now[0])
    witness = stalls.Witness(0.01)
    for after in (0.01, 0.011, 0.009, 0.05, 0.01, 0.03):
        now[0] += after
        witness.tick()
    assert witness.late(100.0) == pytest.approx(0.04 + 0.02)
    assert witness.late(100.09) == pytest.approx(0.02)
    now[0] += 0.5  # and stands still now
    assert witness.late(100.2) == pytest.approx(0.49)
