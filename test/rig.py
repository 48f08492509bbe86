# SPDX-License-Identifier: Apache-2.0
"""An arm on topics that fails as it is told, and a record of everything it was sent."""

from collections.abc import Callable
from dataclasses import astuple, dataclass
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
from stalls import Stalls, Witness, preferred, watching

from rl_control.bringup.graphs import graph
from rl_control.bringup.processes import NodeProcess
from rl_control.bringup.supervisor import command_line
from rl_control.common import poses
from rl_control.common.types import Command
from rl_control.control.emulated_controllers import TrajectoryController
from rl_control.control.realtime_loop import RealtimeLoop
from rl_control.robots.limits import Limits
from rl_control.ros import codec, qos
from rl_control.ros.drained_subscription import DrainedSubscription

ROOT = Path(__file__).parents[1]
STATE_PERIOD = 0.01
PATIENCE, SETTLING = 5.0, 1.0  # s for a process to end, and for the middleware to miss it
START = 60.0  # s that a node may take to start on a machine that has others to run
LATENCY = 2e-3  # s
SLACK, JERK_SLACK = 1e-9, 1e-6  # of rounding; times are in whole nanoseconds


@dataclass
class Sent:
    """One trajectory: when it was sent and when it came (time.monotonic()), and what it says."""

    stamp: float
    receipt: float
    times: np.ndarray
    commands: list[Command]


@dataclass(frozen=True)
class Judged:
    """How many commands an arm was sent, and how many of them must not have been."""

    trajectories: int = 0
    commands: int = 0
    not_finite: int = 0
    beyond: int = 0  # position, velocity, acceleration or jerk
    restless: int = 0  # trajectories that do not end at rest

    @property
    def wrong(self) -> int:
        return self.not_finite + self.beyond + self.restless

    @classmethod
    def of(cls, sent: list[Sent], limits: Limits, period: float) -> 'Judged':
        """
        Judge all of it, one command after the other.

        Jerk is the change of ddq over the time between two commands. Within a trajectory it says
        that time; between the first commands of two it is told by when they were sent, LATENCY s
        after they were thought of at most, and is half a control period at least.
        """
        not_finite = beyond = 0
        reached, ddq = -np.inf, np.zeros(len(limits.jerk))
        for one in sent:
            points = np.array([(at.q, at.dq, at.ddq) for at in one.commands])
            finite = np.isfinite(points).all(axis=(1, 2))
            times = one.stamp + one.times
            spans = np.diff(times, prepend=reached)
            spans[0] = max(spans[0] + LATENCY, 0.5 * period)
            change = np.abs(np.diff(points[:, 2], axis=0, prepend=ddq[None]))
            within = (
                (points[:, 0] >= limits.position_low - SLACK)
                & (points[:, 0] <= limits.position_high + SLACK)
                & (np.abs(points[:, 1]) <= limits.velocity + SLACK)
                & (np.abs(points[:, 2]) <= limits.acceleration + SLACK)
                & (change <= limits.jerk * spans[:, None] + JERK_SLACK)).all(axis=1)
            not_finite += int((~finite).sum())
            beyond += int((~within).sum())
            reached, ddq = times[0], points[0, 2]
        restless = sum(bool(one.commands[-1].dq.any()) for one in sent)
        return cls(len(sent), sum(len(one.commands) for one in sent), not_finite, beyond, restless)

    def __add__(self, other: 'Judged') -> 'Judged':
        return Judged(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        return (f'{self.commands} commands in {self.trajectories} trajectories: '
                f'{self.not_finite} not finite, {self.beyond} beyond limits, '
                f'{self.restless} trajectories that do not end at rest')


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
        self.offset, self.bad, self.goal_frame = 0.0, None, 'world'
        self.last_heard = self.last_stamp = 0.0
        self.witness = Witness(STATE_PERIOD)
        self.status: dict[str, str] = {}
        self._publisher = self.node.create_publisher(
            codec.JointState, 'joint_states', qos.SENSOR)
        self._intake = DrainedSubscription(
            self.node, codec.Trajectory, 'joint_trajectory', qos.COMMAND
        )
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
        self._loop = RealtimeLoop(
            STATE_PERIOD, self._tick, real_time=True, log_warning=lambda _: None)
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

    def judged(self) -> Judged:
        """Judge all that was sent."""
        return Judged.of(self.sent, iiwa().limits, iiwa().control_period)

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
        self.until(lambda: self.status.get('mode') in ('driving', 'stopped'), START, 'driving')
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
        goal = poses.from_position((5.0 * self._side, 0.0, 0.5))
        self._goals.publish(codec.goal_message(goal, self.goal_frame))

    def _on_diagnostics(self, message: codec.Diagnostics) -> None:
        for name, values in codec.read_diagnostics(message):
            if name.endswith(': driving'):
                self.status = values

    def _tick(self, due: float) -> None:
        self.witness.tick()
        for message, receipt, info in self._intake.take_with_info():
            stamp = time.monotonic() - (time.time() - 1e-9 * info['source_timestamp'])
            times, commands = codec.read_joint_trajectory(message, self.names)
            self.sent.append(Sent(stamp, receipt, times, commands))
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
    """
    A node's process in a test; ended with it whatever happens, and killed only if that fails.

    A process that is killed leaves what it shared with our middleware as it was at that moment,
    and taking ours apart right after that ended this process by a segmentation fault at times.
    """

    def __init__(self, process: NodeProcess) -> None:
        self.child = subprocess.Popen(
            command_line(process), env={**os.environ, 'PYTHONPATH': str(ROOT)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __enter__(self) -> 'Running':
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGCONT)
            self.child.send_signal(signal.SIGINT)
        try:
            self.child.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.communicate()
        if self.child.returncode == -signal.SIGKILL:
            time.sleep(SETTLING)

    def ended(
        self, number: signal.Signals, seconds: float,
        meanwhile: Callable[[], object] = lambda: time.sleep(0.005),
    ) -> tuple[int, str]:
        """Send a signal; return the exit status and all output, within `seconds`."""
        allowed = seconds
        with watching() as witness:
            stalls, began = Stalls(witness, self.child.pid), time.monotonic()
            self.child.send_signal(number)
            while self.child.poll() is None:
                allowed = max(allowed, seconds + stalls.seconds)
                assert time.monotonic() - began < allowed, f'not ended within {seconds} s'
                meanwhile()
        output, _ = self.child.communicate(timeout=START)
        return self.child.returncode, output
