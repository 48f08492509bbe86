# SPDX-License-Identifier: Apache-2.0
"""An arm on topics that fails as it is told, and a record of everything it was sent."""

from collections.abc import Iterator
import contextlib
from dataclasses import dataclass
import os
from pathlib import Path
import signal
import subprocess
import threading
import time

from arms import iiwa
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor

from rl_control import poses
from rl_control.controllers import TrajectoryController
from rl_control.graph import graph
from rl_control.loop import Loop
from rl_control.processes import NodeProcess
from rl_control.ros import codec, qos
from rl_control.ros.intake import Intake
from rl_control.supervisor import command_line
from rl_control.types import Command

ROOT = Path(__file__).parents[1]
STATE_PERIOD = 0.01
PRIORITY = 50  # of the test's own thread, below those of the arm


@dataclass
class Sent:
    """One trajectory: when it came (time.monotonic()), and what was in it."""

    receipt: float
    times: np.ndarray
    commands: list[Command]


@contextlib.contextmanager
def preferred() -> Iterator[None]:
    """
    Let this thread go before other processes where that is allowed, and not its children.

    It shares an interpreter with the arm's clock: the one that has it must not be kept waiting.
    """
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(
            0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


class Witness:
    """A clock beside what is judged: how late its own ticks were is the machine's doing."""

    def __init__(self, period: float = STATE_PERIOD) -> None:
        self._period = period
        self._ticks = [time.monotonic()]

    def tick(self) -> None:
        self._ticks.append(time.monotonic())

    def late(self, since: float) -> float:
        """Return the s that ticks lacked after `since`, each by more than half a period."""
        ticks = np.array([*self._ticks, time.monotonic()])
        gaps = np.diff(ticks)[ticks[1:] >= since] - self._period
        return float(gaps[gaps > 0.5 * self._period].sum())


@contextlib.contextmanager
def watching() -> Iterator[Witness]:
    """Let a witness tick on a thread of its own."""
    witness = Witness()
    loop = Loop(STATE_PERIOD, lambda due: witness.tick(), real_time=True, notice=lambda _: None)
    loop.start()
    with preferred():
        yield witness
    loop.stop()
    loop.check()


def waited(pid: int) -> float:
    """Return the s that a process' threads were ready to run and did not (schedstat, proc(5))."""
    told = [file.read_text() for file in Path(f'/proc/{pid}/task').glob('*/schedstat')]
    return 1e-9 * sum(int(text.split()[1]) for text in told)


class Stalls:
    """
    For how long the machine has not let processes run since this was made.

    That is what their threads waited for a core, which the kernel counts, and what the witness
    saw of a machine that stood still as a whole.
    """

    def __init__(self, witness: Witness, *processes: 'Running') -> None:
        self._witness = witness
        self._waited = {one.child.pid: waited(one.child.pid) for one in processes}
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        found = sum(waited(pid) - before for pid, before in self._waited.items())
        return found + self._witness.late(self._since)


class FakeArm:
    """
    A perfect arm on joint_states, joint_trajectory and goal.

    Faults are attributes: `silent`, `frozen` stamps, an `offset` of the stamps in s, `bad` in
    place of the first joint's position, `lacking` the first joint. With `clock` it also tells
    the simulated time `simulated`, of which its stamps are then; that goes unless `paused`.
    With `stamped` false the stamps are of a clock of their own.
    """

    def __init__(self, clock: bool = False) -> None:
        self.node = rclpy.create_node('fake_arm')
        self.simulated, self.paused, self.stamped = 1000.0, False, True
        self._clock = self.node.create_publisher(codec.Clock, '/clock', qos.CLOCK) if (
            clock) else None
        self.names = list(iiwa().settings.joint_names)
        self.controller = TrajectoryController(iiwa().home)
        self.sent: list[Sent] = []
        self.silent = self.frozen = self.lacking = False
        self.offset, self.bad = 0.0, None
        self.last_heard = self.last_stamp = 0.0
        self.witness = Witness()
        self.status: dict[str, str] = {}
        self._publisher = self.node.create_publisher(
            codec.JointState, 'joint_states', qos.SENSOR)
        self._intake = Intake(self.node, codec.Trajectory, 'joint_trajectory', qos.COMMAND)
        self._goals = self.node.create_publisher(codec.Goal, 'goal', qos.GOAL)
        self.node.create_subscription(
            codec.Diagnostics, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS)
        self._resume = self.node.create_client(codec.Trigger, 'policy/resume')
        self.node.create_timer(0.7, self._flip)
        self._side = 1.0
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._ended = threading.Event()
        self._spinning = threading.Thread(target=self._spin, daemon=True)
        self._spinning.start()
        self._loop = Loop(STATE_PERIOD, self._tick, real_time=True, notice=lambda _: None)
        self._loop.start()
        self._preferred = preferred()
        self._preferred.__enter__()

    def close(self) -> None:
        self._preferred.__exit__(None, None, None)
        self._ended.set()
        self._spinning.join()
        self._loop.stop()
        self._executor.shutdown()
        self.node.destroy_node()
        self._loop.check()

    def until(self, met, seconds: float, what: str) -> None:
        """Wait until `met()`; fail naming `what` after `seconds`."""
        deadline = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < deadline, f'{what} not within {seconds} s: {self.status}'
            time.sleep(0.005)

    def until_mode(self, mode: str, seconds: float = 10.0) -> None:
        self.until(lambda: self.status.get('mode') == mode, seconds, mode)

    def until_driving(self) -> None:
        """Wait for the first command; a busy machine may stop it for want of joint states."""
        self.until(lambda: self.status.get('mode') in ('driving', 'stopped'), 20.0, 'driving')
        time.sleep(0.2)
        if self.status['mode'] == 'stopped':
            self.resumed()

    def until_moving(self) -> None:
        """Wait until the arm is in motion; a busy machine may have stopped it."""
        count = len(self.sent)
        self.until(lambda: self.drives() and len(self.sent) >= count + 3 and self.speed >= 0.5,
                   20.0, 'motion')

    @property
    def speed(self) -> float:
        """Return the largest commanded speed of the newest trajectory in rad/s."""
        return float(np.abs(self.sent[-1].commands[0].dq).max())

    def resume(self) -> tuple[bool, str]:
        future = self._resume.call_async(codec.Trigger.Request())
        self.until(future.done, 5.0, 'answer of resume')
        return future.result().success, future.result().message

    def resumed(self) -> None:
        """Resume as soon as it is allowed; a busy machine may stop the arm once more."""
        self.until_mode('stopped')
        self.until(self.drives, 10.0, 'driving again')

    def drives(self) -> bool:
        """Say whether the arm is driven, resuming it where the machine had it stopped."""
        if self.status['mode'] == 'stopped':
            self.resume()
        return self.status['mode'] == 'driving'

    def _spin(self) -> None:
        while not self._ended.is_set():
            self._executor.spin_once(timeout_sec=0.02)

    def _flip(self) -> None:
        self._side = -self._side
        self._goals.publish(codec.goal_message(poses.at((5.0 * self._side, 0.0, 0.5)), 'world'))

    def _on_diagnostics(self, message: codec.Diagnostics) -> None:
        for name, values in codec.read_diagnostics(message):
            if name.endswith(': driving'):
                self.status = values

    def _tick(self, due: float) -> None:
        self.witness.tick()
        for message, receipt in self._intake.take():
            times, commands = codec.read_joint_trajectory(message, self.names)
            self.sent.append(Sent(receipt, times, commands))
            self.controller.follow(times, commands)
        q, dq = self.controller.sample(due)
        if self._clock is not None and not self.paused:
            self.simulated += STATE_PERIOD
            self.offset = self.simulated - time.time() if self.stamped else 0.0
            self._clock.publish(codec.clock(self.simulated))
        if self.silent:
            return
        if not (self.frozen or (self.paused and self.stamped)):
            self.last_stamp = time.time() + self.offset
        q, names = q.copy(), self.names
        if self.bad is not None:
            q[0] = self.bad
        if self.lacking:
            names, q, dq = names[1:], q[1:], dq[1:]
        self._publisher.publish(codec.joint_state(names, self.last_stamp, q, dq))
        if not (self.frozen or self.paused or self.bad is not None or self.lacking):
            self.last_heard = time.monotonic()


def policy_process(policy: Path, **parameters: object) -> NodeProcess:
    """Return the policy node of the deployment graph, with more parameters."""
    process = graph('deploy').processes({'policy': str(policy)})[1]
    assert process.executable == 'policy'
    return NodeProcess('policy', 'policy', process.parameter_files,
                       {**process.parameters, **parameters})


class Running:
    """A node's process in a test; killed at the end whatever happens."""

    def __init__(self, process: NodeProcess) -> None:
        self.child = subprocess.Popen(
            command_line(process), env={**os.environ, 'PYTHONPATH': str(ROOT)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __enter__(self) -> 'Running':
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()
        self.child.communicate()

    def ended(self, number: signal.Signals, seconds: float) -> tuple[int, str]:
        """Send a signal; return the exit status and all output, within `seconds`."""
        self.child.send_signal(number)
        output, _ = self.child.communicate(timeout=seconds)
        return self.child.returncode, output
