# SPDX-License-Identifier: Apache-2.0
"""How a node's process ends where the middleware does not let it."""

import os
from pathlib import Path
import subprocess
import sys

STUCK = '''
import sys, time
from rclpy.node import Node
from rl_control.ros.process import run

class Stuck(Node):
    def done(self): return True
    def close(self, executor): print('saved', flush=True)
    def destroy_node(self): time.sleep(60.0)

sys.exit(run(lambda: Stuck('stuck')))
'''


def test_what_hangs_when_it_is_taken_apart_says_where_and_ends(ros_domain: int) -> None:
    ended = subprocess.run(
        [sys.executable, '-c', STUCK], capture_output=True, text=True, timeout=50.0, check=False,
        env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1])})
    assert ended.stdout == 'saved\n'
    assert ended.returncode == 1 and 'in destroy_node' in ended.stderr
