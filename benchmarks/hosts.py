# SPDX-License-Identifier: Apache-2.0
"""
Training over four hosts: a learner, two collectors and an arm, each in a network namespace.

The namespaces (root is needed) are joined by veth pairs to a switch, a small relay in user space,
since not every kernel can drop and delay packets. It is not reachable from outside. During the
training one collector's link is down for `--cut` s, then all links drop `--loss` of their packets
and delay the others. The learner must train all the time, report the lost collector, and in the
end have every transition once. Exits with 1 if not.
"""

import argparse
import ctypes
from dataclasses import replace
import fcntl
import heapq
import itertools
import json
import os
from pathlib import Path
import random
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from typing import Any

HOSTS = {'learner': '10.77.0.1', 'left': '10.77.0.2', 'right': '10.77.0.3', 'arm': '10.77.0.4'}
PLACES = {'learner': 'learner', 'broadcaster': 'learner', 'collector_0': 'left',
          'collector_1': 'right', 'simulator': 'arm', 'policy': 'arm'}
PREFIX = 'rlc'  # of the names of namespaces
WIRE = f'{PREFIX}_wire'
CLONE_NEWNET = 0x40000000
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17


def ip(*words: str, inside: str = '') -> None:
    """Run `ip`, in a namespace if one is named."""
    subprocess.run(['ip', *(['-n', inside] if inside else []), *words], check=True)


def build() -> None:
    """Create the hosts, each with one interface to a port of the switch."""
    ip('netns', 'add', WIRE)
    for host, address in HOSTS.items():
        space = f'{PREFIX}_{host}'
        ip('netns', 'add', space)
        ip('link', 'add', 'eth0', 'netns', space, 'type', 'veth', 'peer', 'name', host,
           'netns', WIRE)
        ip('link', 'set', 'lo', 'up', inside=space)
        ip('address', 'add', f'{address}/24', 'dev', 'eth0', inside=space)
        ip('link', 'set', 'eth0', 'up', inside=space)
        ip('route', 'add', '224.0.0.0/4', 'dev', 'eth0', inside=space)
        ip('link', 'set', host, 'up', inside=WIRE)
        # The relay forwards packets as they are: their checksums must be computed.
        subprocess.run(['ip', 'netns', 'exec', space, sys.executable, __file__, '--checksums'],
                       check=True)


def remove() -> None:
    """Delete the namespaces."""
    for name in (*(f'{PREFIX}_{host}' for host in HOSTS), WIRE):
        subprocess.run(['ip', 'netns', 'delete', name], check=False, stderr=subprocess.DEVNULL)


def put_checksums() -> None:
    """Turn off checksum offloading on eth0."""
    value = ctypes.create_string_buffer(struct.pack('II', ETHTOOL_STXCSUM, 0))
    request = struct.pack('16sP8x', b'eth0', ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCETHTOOL, request)


def relay() -> None:
    """Run the switch: forward packets to all other ports, with loss and delay from stdin."""
    ports = {}
    chosen = selectors.DefaultSelector()
    for host in HOSTS:
        port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        port.bind((host, 0))
        port.setblocking(False)
        ports[host] = port
        chosen.register(port, selectors.EVENT_READ)
    chosen.register(sys.stdin, selectors.EVENT_READ)
    loss, delay = 0.0, 0.0
    waiting: list[tuple[float, int, bytes, socket.socket]] = []
    order, rng = itertools.count(), random.Random(0)
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for key, _ in chosen.select(timeout):
            if key.fileobj is sys.stdin:
                if not (line := sys.stdin.readline()):
                    return
                loss, delay = map(float, line.split())
                continue
            try:
                packet, address = key.fileobj.recvfrom(65535)
            except OSError:
                continue  # the link is down
            if address[2] == socket.PACKET_OUTGOING or rng.random() < loss:
                continue
            due = time.monotonic() + delay * rng.uniform(0.5, 1.5)
            for port in ports.values():
                if port is not key.fileobj:
                    heapq.heappush(waiting, (due, next(order), packet, port))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, packet, port = heapq.heappop(waiting)
            try:
                port.send(packet)
            except OSError:
                continue  # its link is down


class Graph:
    """The training and deployment, each process in its host, and a watcher of them."""

    def __init__(self, robot: str, out: Path, environment: dict[str, str]) -> None:
        from faults_learner_kill import Watcher

        from rl_control.bringup import supervisor
        from rl_control.bringup.graphs import graph
        from rl_control.ros import codec, qos

        line_of = supervisor.command_line
        supervisor.command_line = lambda process: [
            'ip', 'netns', 'exec', f'{PREFIX}_{PLACES[process.name]}', *line_of(process)]
        training = graph('train_sim').processes({'robot': robot, 'out': str(out)})
        deployment = graph('deploy').processes({'robot': robot, 'policy': 'best.onnx'})
        processes = [
            replace(process, ends_graph=False, parameters={**process.parameters, **(
                {'policy.policy': ''} if process.name == 'policy' else
                {'broadcaster.evaluation_episodes': 5} if process.name == 'broadcaster' else
                {'collector.evaluation_episodes': 5} if process.name.startswith('collector') else
                {})}) for process in (*training, *deployment) if process.name in PLACES]
        self.supervisor = supervisor.Supervisor(processes, environment, out / 'logs')
        self.watcher = Watcher(self.supervisor)
        self.reported = False  # whether the learner has reported a dead collector
        self.watcher.create_subscription(
            codec.Diagnostics, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS)
        self.logs = out / 'logs'

    def arm_has(self) -> int:
        """Return the newest version in the arm's log, -1 before the first."""
        log = self.logs / 'policy.log'
        said = log.read_text().split('runs version ')[1:] if log.exists() else []
        return int(said[-1].split()[0]) if said else -1

    def _on_diagnostics(self, message: Any) -> None:
        self.reported |= any(
            'collectors that died' in status.message for status in message.status)

    def phase(self, seconds: float) -> dict[str, object]:
        """Run for `seconds`; return updates, versions and the learner's report."""
        first, versions = self.watcher.updates, len(self.watcher.versions)
        self.reported = False
        self.watcher.until(lambda: False, seconds)
        return {'updates': self.watcher.updates - first,
                'versions': len(self.watcher.versions) - versions,
                'told_that_one_is_gone': self.reported, 'arm_has_version': self.arm_has()}


def main() -> int:
    """Train over the hosts with a cut and losses; print figures, return the exit status."""
    if sys.argv[1:] == ['--relay']:
        relay()
        return 0
    if sys.argv[1:] == ['--checksums']:
        put_checksums()
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--robot', default='iiwa')
    parser.add_argument('--cut', type=float, default=30.0, help='s without the cable')
    parser.add_argument('--loss', type=float, default=0.01)
    parser.add_argument('--delay', type=float, default=0.02, help='s, half to one and a half')
    options = parser.parse_args()
    remove()
    build()
    switch = subprocess.Popen(
        ['ip', 'netns', 'exec', WIRE, sys.executable, __file__, '--relay'],
        stdin=subprocess.PIPE, text=True)
    out = Path(tempfile.mkdtemp(prefix='hosts_'))
    with open(f'/run/netns/{PREFIX}_learner') as space:  # this process is on the learner's host
        if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), 'setns')
    os.environ.update({
        'ROS_DOMAIN_ID': '5', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET',
        # The namespaces share this machine's memory, as real hosts do not.
        'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'})
    os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)
    from faults_learner_kill import account
    import rclpy

    rclpy.init(args=[])
    graph = Graph(options.robot, out, dict(os.environ))
    figures: dict[str, object] = {}
    try:
        graph.watcher.until(lambda: len(graph.watcher.versions) > 3 and graph.arm_has() >= 0)
        figures['whole'] = graph.phase(10.0)
        print(json.dumps(figures), flush=True)
        ip('link', 'set', 'left', 'down', inside=WIRE)
        figures['one cable out'] = graph.phase(options.cut)
        ip('link', 'set', 'left', 'up', inside=WIRE)
        print(json.dumps(figures), flush=True)
        figures['cable in again'] = graph.phase(15.0)
        switch.stdin.write(f'{options.loss} {options.delay}\n')
        switch.stdin.flush()
        figures['loss and delay'] = graph.phase(30.0)
        switch.stdin.write('0 0\n')
        switch.stdin.flush()
        print(json.dumps(figures), flush=True)
        figures['whole again'] = graph.phase(10.0)
    finally:
        graph.supervisor.stop()
        rclpy.try_shutdown()
        switch.stdin.close()
        switch.wait()
        remove()
    figures |= account(out)
    figures['tracebacks'] = sum(
        log.read_text(errors='replace').count('Traceback') for log in graph.logs.glob('*.log'))
    print(json.dumps(figures, indent=2))
    phases = [part for part in figures.values() if isinstance(part, dict)]
    good = (not figures['lost'] and not figures['doubled'] and not figures['tracebacks']
            and all(part['updates'] > 0 for part in phases)
            and figures['one cable out']['told_that_one_is_gone'] and graph.arm_has() >= 0)
    if good:
        shutil.rmtree(out)
    else:
        print(f'failed; see {out}')
    return int(not good)


if __name__ == '__main__':
    sys.exit(main())
