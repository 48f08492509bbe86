# SPDX-License-Identifier: Apache-2.0
"""Start-up time: imports of the policy, and nodes until they are discovered."""

from collections.abc import Iterator
from functools import partial
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time

from benchmarks.parts.comparison import OURS, Comparison, Contender, Figures, Goal, Scale, compare
from benchmarks.parts.fixtures import policy_file
from benchmarks.parts.subprocesses import environment
from rl_control.bringup.processes import NodeProcess
from rl_control.config.files import parameter_file
from rl_control.environments.make import load_arm
from rl_control.policies.onnx_policy import OnnxPolicy

TIMEOUT = 60.0  # s
# A topic that the node advertises when it is up.
TOPICS = {'collector': 'transitions', 'policy': 'joint_trajectory'}


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield the time of imports and of starts, from the start of the process."""
    yield compare('start: imports, with that of Python itself', 's', [
        Contender(OURS, lambda: partial(_import, 'rl_control.policies.onnx_policy')),
        Contender('torch', lambda: partial(_import, 'torch')),
        Contender('limit: onnxruntime and onnx', lambda: partial(
            _import, 'onnxruntime, onnx.checker')),
        Contender('limit: Python', lambda: partial(_import, 'sys')),
    ], scale.rounds, [Goal('policy', at_most=0.4), Goal('has torch', at_most=0.0)])
    yield compare('start: until a node is there', 's', [
        Contender(OURS, lambda: _nodes), Contender('bare node of rclpy', lambda: _bare),
    ], min(scale.rounds, 5), [Goal(name, at_most=1.5) for name in TOPICS])


def _import(module: str) -> Figures:
    code = (f'import sys, time; a = time.perf_counter(); import {module}; '
            'print(time.perf_counter() - a, int("torch" in sys.modules))')
    output = subprocess.run([sys.executable, '-c', code], env=environment(), check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    seconds, torch = map(float, output.split())
    return {'policy': seconds, **({'has torch': torch} if 'rl_control' in module else {})}


def _nodes() -> Figures:
    """Return the time until each node's publisher is discovered."""
    from rl_control.bringup.supervisor import command_line

    found = {}
    files = (parameter_file('robots', 'iiwa'), parameter_file('tasks', 'reach'))
    with tempfile.TemporaryDirectory(prefix='rl_control_bench_') as folder:
        path = Path(folder) / 'policy.onnx'
        OnnxPolicy(policy_file(
            (128, 128), made=load_arm('iiwa', 'reach').contract())).save(path)
        for name, topic in TOPICS.items():
            parameters = {'policy.policy': str(path)} if name == 'policy' else {}
            found[name] = _until_heard(
                command_line(NodeProcess(name, name, files, parameters)), topic)
    return found


def _bare() -> Figures:
    code = ("import rclpy; from std_msgs.msg import Float64 as F; rclpy.init(); "
            "n = rclpy.create_node('bare'); p = n.create_publisher(F, 'bare', 1); rclpy.spin(n)")
    took = _until_heard([sys.executable, '-c', code], 'bare')
    return dict.fromkeys(TOPICS, took)


def _until_heard(command: list[str], topic: str) -> float:
    import rclpy

    os.environ.update({name: value for name, value in environment().items()
                       if name.startswith('ROS_') or name == 'AMENT_PREFIX_PATH'})
    rclpy.init(args=[], signal_handler_options=rclpy.SignalHandlerOptions.NO)
    node = rclpy.create_node('watcher')
    began = time.monotonic()
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)
    try:
        while not node.count_publishers(topic):
            if process.poll() is not None or time.monotonic() > began + TIMEOUT:
                raise RuntimeError(f'{topic} has no publisher within {TIMEOUT} s')
            time.sleep(0.005)
        return time.monotonic() - began
    finally:
        process.kill()
        process.wait()
        rclpy.shutdown()
