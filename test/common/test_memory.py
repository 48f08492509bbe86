# SPDX-License-Identifier: Apache-2.0
"""Memory that an update frees is reused by the next one."""

import platform
import subprocess
import sys

import pytest

# In a process of its own: mallopt affects the whole process. On a thread, as learners train.
UPDATES = '''
from concurrent.futures import ThreadPoolExecutor
from resource import RUSAGE_THREAD, getrusage

import numpy as np
import torch

from rl_control.learning.algorithms import make_agent, settings_of
from benchmarks.parts.fixtures import ACTION, OBSERVATION, contract
from rl_control.learning.replay import Batch

torch.set_num_threads(1)
agent = make_agent('qt_opt', contract(), settings_of('qt_opt')(hidden_sizes=(64, 64)))
rng = np.random.default_rng(0)
rows = lambda *sizes: rng.uniform(-1.0, 1.0, sizes).astype(np.float32)
batch = Batch(rows(64, OBSERVATION), rows(64, ACTION), rows(64), rows(64, OBSERVATION), rows(64))

def faults():
    before = getrusage(RUSAGE_THREAD).ru_minflt
    for _ in range(10):
        agent.update(batch)
    return (getrusage(RUSAGE_THREAD).ru_minflt - before) / 10

with ThreadPoolExecutor(1) as threads:
    print([threads.submit(faults).result() for _ in range(3)][-1])
'''


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library')
def test_an_update_requests_no_memory_from_the_system():
    """Without `memory.tune_malloc` it is some hundred pages of 4 KiB an update."""
    ran = subprocess.run(
        [sys.executable, '-c', UPDATES], capture_output=True, text=True, check=True, timeout=100)
    assert float(ran.stdout) < 20
