# SPDX-License-Identifier: Apache-2.0
"""How a node's process ends where the middleware does not let it."""

import os
from pathlib import Path
import subprocess
import sys

STALL_TIMEOUT = '''
import sys, time
from rclpy.node import Node
from rl_control.ros.node_main import run

class Stuck(Node):
    def done(self): return True
    def close(self, executor): print('saved', flush=True)
    def destroy_node(self): time.sleep(60.0)

sys.exit(run(lambda: Stuck('stuck')))
'''

REFUSED = '''
import sys
from rl_control.common.errors import InvalidInput, Unavailable
from rl_control.ros.node_main import run

def make(kind):
    raise kind('the disk is full')

print(*(run(lambda: make(kind)) for kind in (InvalidInput, Unavailable, TypeError)))
'''


def ended_by(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, timeout=50.0, check=False,
        env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[2])})


def test_bad_input_and_what_is_not_to_be_had_have_a_status_each(ros_domain: int) -> None:
    ended = ended_by(REFUSED)
    assert ended.stdout == '2 75 2\n' and ended.stderr.count('the disk is full') == 4
    assert 'Traceback' in ended.stderr
    assert ended.stderr.splitlines()[-1].endswith(
        'the node cannot be made (TypeError: the disk is full); please report the traceback above')


def test_what_hangs_when_it_is_taken_apart_says_where_and_ends(ros_domain: int) -> None:
    ended = ended_by(STALL_TIMEOUT)
    assert ended.stdout == 'saved\n'
    assert ended.returncode == 1 and 'in destroy_node' in ended.stderr
