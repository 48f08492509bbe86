# SPDX-License-Identifier: Apache-2.0
"""
Fill the disk of a training: recording stops, training continues, and with space all is recovered.

The run writes to a tmpfs in a separate mount namespace (root, or `unshare` with user namespaces),
which is shrunk to the used size. On the full disk the learner must report it in /diagnostics and
continue to train, with its newest checkpoint intact; then it is killed, and cannot start. After
the tmpfs has grown again the learner must return, and all transitions must be in the journal.
Exits with 1 if not.
"""

import argparse
from dataclasses import replace
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import rclpy

from rl_control.bringup.graphs import graph
from rl_control.bringup.run_graph import graph_environment
from rl_control.bringup.supervisor import Supervisor
from rl_control.learning import checkpoint
from rl_control.report.delivery_accounting import account
from rl_control.ros import codec, qos

INSIDE = 'FAULTS_DISK_INSIDE'
ROOMY = '256m'


class Watcher:
    """Receives the learner's diagnostics while the supervisor runs."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.node = rclpy.create_node('watcher')
        self.level, self.message, self.updates = b'', '', 0
        self.node.create_subscription(
            codec.Diagnostics, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS)

    def until(self, condition, timeout: float = 60.0) -> bool:
        """Spin until `condition` holds; return False after `timeout` s or the graph's end."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline or self.supervisor.poll() is not None:
                return False
            rclpy.spin_once(self.node, timeout_sec=0.02)
        return True

    def _on_diagnostics(self, message: codec.Diagnostics) -> None:
        for status in message.status:
            if status.name.endswith(': learning'):
                values = {entry.key: entry.value for entry in status.values}
                self.level, self.message = status.level, status.message
                self.updates = int(values['updates'])


def mount(out: Path, size: str, *more: str) -> None:
    subprocess.run(['mount', '-t', 'tmpfs', '-o', ','.join((f'size={size}', *more)), 'none',
                    str(out)], check=True)


def examine(out: Path, room: int, seconds: float) -> dict[str, object]:
    environment = graph_environment()
    os.environ.update(environment)
    processes = [
        replace(process, parameters={**process.parameters, **(
            {'learner.headroom': 20_000} if process.name == 'learner' else {})})
        for process in graph('train_sim').processes({
            'robot': 'gymnasium:Pendulum-v1', 'collectors': '1', 'out': str(out)})
        if not process.ends_graph
    ]
    mount(out, ROOMY)
    rclpy.init(args=[])
    supervisor = Supervisor(processes, environment)
    heard, figures = Watcher(supervisor), {}
    try:
        heard.until(lambda: checkpoint.latest(out / 'checkpoints') is not None)
        usage = shutil.disk_usage(out)
        mount(out, str(usage.used + room), 'remount')
        figures['told'] = heard.until(lambda: heard.level == codec.ERROR)
        figures['message'] = heard.message
        pid, before = supervisor.pids.get('learner'), heard.updates
        heard.until(lambda: False, seconds)
        figures['updates_while_full'] = heard.updates - before
        figures['same_process'] = supervisor.pids.get('learner') == pid
        newest = checkpoint.latest(out / 'checkpoints')
        figures['checkpoint_whole'] = newest is not None
        os.kill(pid, signal.SIGKILL)
        heard.until(lambda: False, seconds)
        figures['graph_went_on'] = supervisor.poll() is None
        mount(out, ROOMY, 'remount')
        figures['recovered'] = heard.until(lambda: heard.level not in (codec.ERROR, b''))
    finally:
        supervisor.stop()
        rclpy.try_shutdown()
    found = account(out)
    figures['produced'] = found.produced
    figures['waiting_for_the_next_start'] = found.waiting
    figures['lost'] = found.lost
    return figures


def main() -> int:
    """Run it in a mount namespace, print the figures, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--room', type=int, default=200_000, help='bytes left when it shrinks')
    parser.add_argument('--seconds', type=float, default=5.0, help='that it stays full')
    options = parser.parse_args()
    if INSIDE not in os.environ:
        os.environ[INSIDE] = '1'
        how = ['-m'] if os.geteuid() == 0 else ['-rm']
        os.execvp('unshare', ['unshare', *how, sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory(prefix='faults_disk_') as directory:
        out = Path(directory)
        try:
            figures = examine(out, options.room, options.seconds)
        finally:
            subprocess.run(['umount', '-l', directory], check=False)
    print(json.dumps(figures, indent=2))
    good = (figures['told'] and figures['updates_while_full'] > 0 and figures['same_process']
            and figures['checkpoint_whole'] and figures['graph_went_on'] and figures['recovered']
            and not figures['lost'])
    return int(not good)


if __name__ == '__main__':
    sys.exit(main())
