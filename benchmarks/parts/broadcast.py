# SPDX-License-Identifier: Apache-2.0
"""
Latency of policies: one hop by size, and from the learner's update to a ready collector.

One hop lasts from before `publish` to the message in Python in another process. `ready` includes
export, verification, the broadcaster node, and a collector's checks and loading, but not the wait
for the collector's next tick.
"""

from collections.abc import Iterator
from functools import partial
import json
import os
from pathlib import Path
import sys
import tempfile
import time

import numpy as np

from benchmarks.parts.comparison import OURS, Comparison, Contender, Figures, Goal, Scale, compare
from benchmarks.parts.fixtures import contract, exporter
from benchmarks.parts.subprocesses import environment, run_module, start
from rl_control.common import memory
from rl_control.config.files import config_directory

PERIOD = 0.2  # s between two policies
SIZES = {'280 KiB': 280 * 2**10, '4 MiB': 4 * 2**20}
RUN = 'bench'


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield the time of one hop, the time until a policy is ready, and the learner's cost."""
    number, rounds = scale.size(25, 3), min(scale.rounds, 3)
    for name, size in SIZES.items():
        yield compare(f'broadcast: one hop of {name}', 'ms', [
            Contender(OURS, lambda size=size: partial(_hop, size, number, True)),
            Contender(f'{OURS}, config/fastdds.xml', lambda size=size: partial(
                _hop, size, number, True, config_directory() / 'fastdds.xml')),
            Contender('bare message, default executor', lambda size=size: partial(
                _hop, size, number, False)),
        ], rounds, [Goal('p50', at_most=1.0 if size < 2**20 else 6.0)])
    yield compare('broadcast: from an update to a ready collector, 256 x 256', 'ms', [
        Contender(OURS, lambda: partial(_ready, number))], rounds,
        [Goal('p50', at_most=20.0), Goal('p99', at_most=60.0)])
    yield compare("broadcast: the learner's time for 5 policies/s", '% of a core', [
        Contender(OURS, lambda: partial(_cost, number))], rounds, [Goal('share', at_most=3.0)])


def _hop(size: int, number: int, ours: bool, profiles: Path | None = None) -> Figures:
    """Return the latency between two processes; `profiles` is a Fast DDS XML file."""
    more = {'FASTDDS_DEFAULT_PROFILES_FILE': str(profiles)} if profiles else {}
    with start(__name__, 'listen', number, ours, **more) as listening:
        sent = run_module(__name__, 'send', size, number, ours, **more)
        heard = json.loads(listening.communicate()[0].splitlines()[-1])
    return _quantiles([heard[version] - began for version, began in sent.items()
                       if version in heard])


def _quantiles(seconds: list[float]) -> Figures:
    p50, p99 = np.percentile(seconds, (50.0, 99.0))
    return {'p50': 1e3 * p50, 'p99': 1e3 * p99}


def send(size: int, number: int, ours: bool) -> dict[int, float]:
    """Publish `number` messages of `size` bytes; return the time of each by version."""
    import rclpy

    from rl_control.ros import codec, qos

    if ours:
        memory.tune_malloc()  # as our nodes' processes do
    rclpy.init(args=[])
    node = rclpy.create_node('sender')
    publisher = node.create_publisher(codec.Policy, 'policy/latest', qos.POLICY)
    while not publisher.get_subscription_count():
        time.sleep(0.02)
    time.sleep(0.5)
    data, sent = os.urandom(size), {}
    for version in range(1, number + 1):
        message = codec.encode_policy(data, RUN, version)
        sent[version] = time.monotonic()
        publisher.publish(message)
        time.sleep(PERIOD)
    return sent


def listen(number: int, ours: bool) -> dict[int, float]:
    """Return the arrival time of each version; with `ours` after its digest was checked."""
    import rclpy

    from rl_control.ros import codec, qos

    if ours:
        memory.tune_malloc()
    rclpy.init(args=[])
    node, heard = rclpy.create_node('listener'), {}

    def on_policy(message: codec.Policy) -> None:
        now = time.monotonic()
        version = json.loads(message.layout.dim[0].label)['version']
        if ours:
            codec.decode_policy(message)
            now = time.monotonic()
        heard[version] = now

    node.create_subscription(codec.Policy, 'policy/latest', on_policy, qos.POLICY)
    deadline = time.monotonic() + 30.0 + number * PERIOD
    while max(heard, default=0) < number and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
    return heard


def _ready(number: int) -> Figures:
    from rl_control.bringup.processes import NodeProcess
    from rl_control.bringup.supervisor import Supervisor

    with tempfile.TemporaryDirectory(prefix='rl_control_bench_') as folder:
        supervisor = Supervisor(
            [NodeProcess('broadcaster', 'broadcaster', (), {'broadcaster.out': folder})],
            environment(), Path(folder) / 'logs')
        try:
            with start(__name__, 'take_up', number) as taking:
                sent = run_module(__name__, 'learn', number)
                ready = json.loads(taking.communicate()[0].splitlines()[-1])
        finally:
            supervisor.stop()
    return _quantiles([ready[version] - began for version, began in sent.items()
                       if version in ready])


def learn(number: int) -> dict[int, float]:
    """Publish `number` versions as the learner does; return the start of each export."""
    import rclpy

    from rl_control.ros import codec, qos

    exporting = exporter(contract(), (256, 256))
    memory.tune_malloc()
    rclpy.init(args=[])
    node = rclpy.create_node('learner')
    publisher = node.create_publisher(codec.Policy, 'policy/candidate', qos.POLICY)
    while not publisher.get_subscription_count():
        time.sleep(0.02)
    time.sleep(0.5)
    sent = {}
    for version in range(1, number + 1):
        sent[version] = time.monotonic()
        data = exporting.export(version, version)
        exporting.verify(data)
        publisher.publish(codec.encode_policy(data, RUN, version))
        time.sleep(PERIOD)
    return sent


def take_up(number: int) -> dict[int, float]:
    """Check and load the broadcaster's policies as a collector; return when each was ready."""
    import rclpy

    from rl_control.policies.onnx_policy import OnnxPolicy
    from rl_control.ros import codec, qos

    memory.tune_malloc()
    rclpy.init(args=[])
    node, ready, here = rclpy.create_node('collector'), {}, contract()

    def on_policy(message: codec.Policy) -> None:
        data, _, version = codec.decode_policy(message)
        here.require_equal(OnnxPolicy(data).contract, 'this collector', 'the policy')
        ready[version] = time.monotonic()

    node.create_subscription(codec.Policy, 'policy/latest', on_policy, qos.POLICY)
    deadline = time.monotonic() + 60.0 + number * PERIOD
    while max(ready, default=0) < number and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
    return ready


def _cost(number: int) -> Figures:
    """Return the processor time that the learner spends at 5 policies/s."""
    from rl_control.ros import codec

    exporting = exporter(contract(), (256, 256))
    began = time.thread_time()
    for version in range(number):
        data = exporting.export(version, version)
        exporting.verify(data)
        codec.encode_policy(data, RUN, version)
    return {'share': 100.0 * (time.thread_time() - began) / number / PERIOD}


ROLES = {'send': send, 'listen': listen, 'learn': learn, 'take_up': take_up}

if __name__ == '__main__':
    role, *arguments = json.loads(sys.argv[1])
    print(json.dumps(ROLES[role](*arguments)))
