# SPDX-License-Identifier: Apache-2.0
"""
Time until the arm begins to stop after its joint states fail, and the commands meanwhile.

    python benchmarks/stops.py [--trials 100] [--seed 0]

Over real topics: a policy node in its own process, as deployed, and the tests' arm on topics.
Joint states stop, freeze, age or have NaN in turn, at a random phase of the control period while
the arm moves fast; it is resumed after each. A figure is the time from the last good joint state
until the first command that brakes. Ctrl-C ends it with the figures so far.
"""

import argparse
import contextlib
from itertools import chain, pairwise
import os
from pathlib import Path
import sys
import tempfile
import time

import numpy as np
import rclpy

from rl_control.bringup.run_graph import graph_environment
from rl_control.common import poses
from rl_control.ros import codec

sys.path.insert(0, str(Path(__file__).parents[1] / 'test'))

from arms import exported, iiwa
from rig import STATE_PERIOD, FakeArm, Running, policy_process

STALE = 0.1  # s, the default of policy.stale_period
BOUND = max(STALE, 2.0 * iiwa().control_period)  # s
AGEING = 0.5  # s by which stamps fall behind each second
FAULTS = {  # attribute and value set on the arm, and the policy node's reason
    'silence': ('silent', True, 'no new joint_states'),
    'freeze': ('frozen', True, 'stand still'),
    'age': ('ageing', AGEING, 'later than before'),
    'nan': ('bad', np.nan, 'position nan'),
}


class Arm(FakeArm):
    """Also ages its stamps, and keeps each goal until the next one."""

    def __init__(self) -> None:
        self.ageing = self.aged = self.last_good = 0.0
        super().__init__()

    def _flip(self) -> None:
        """Keep the goal."""

    def _tick(self, due: float) -> None:
        self.aged = self.aged + self.ageing * STATE_PERIOD if self.ageing else 0.0
        self.offset = -self.aged
        super()._tick(due)
        if self.aged <= STALE:
            self.last_good = self.last_heard

    def send_back(self) -> None:
        """Publish a goal on the other side, out of reach, so that the arm does not brake."""
        side = 1.0 if self.controller.sample(time.monotonic())[0][0] < iiwa().home[0] else -1.0
        goal = poses.from_position((5.0 * side, 0.0, 0.5))
        self._goals.publish(codec.goal_message(goal, 'world'))


def trial(arm: Arm, fault: str, rng: np.random.Generator) -> float:
    """Return s from the last good joint state until the arm is commanded to brake."""
    name, value, text = FAULTS[fault]
    good = getattr(arm, name)
    arm.send_back()
    time.sleep(0.3)  # the arm turns round
    arm.until_moving()
    time.sleep(rng.uniform(0.0, iiwa().control_period))
    count = len(arm.sent)
    setattr(arm, name, value)
    arm.until_mode('stopped')
    speeds = [(sent, np.abs(sent.commands[0].dq).max()) for sent in arm.sent[count - 1:]]
    # After its first command each trajectory brakes.
    braking = next((min(sent.receipt, last.receipt + last.times[0])
                    for (last, before), (sent, speed) in pairwise(speeds)
                    if speed < before - 1e-6), np.inf)
    found = braking - arm.last_good
    if text not in arm.status['why']:
        print(f'\n{fault}: stopped for something else: {arm.status["why"]}')
        found = np.nan
    setattr(arm, name, good)
    arm.resumed()
    return found


def told(name: str, found: list[float]) -> str:
    values = np.array(found)
    return (f'{name:8} {(values <= BOUND).sum()} of {len(values)} within {BOUND:g} s, '
            f'p50 {np.nanmedian(values):.3f} s, longest {np.nanmax(values):.3f} s')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[1])
    parser.add_argument('--trials', type=int, default=100)
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    os.environ.update(graph_environment())
    found: dict[str, list[float]] = {fault: [] for fault in FAULTS}
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        policy = Path(directory) / 'policy.onnx'
        exported().save(policy)
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        arm = stack.enter_context(contextlib.closing(Arm()))
        stack.enter_context(Running(policy_process(policy)))
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        arm.send_back()
        arm.until_driving()
        for number in range(options.trials):
            fault = list(FAULTS)[number % len(FAULTS)]
            found[fault].append(trial(arm, fault, rng))
            print(f'\r\033[Ktrial {number + 1} of {options.trials}: {fault} '
                  f'{found[fault][-1]:.3f} s', end='', file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for fault, values in found.items():
        if values:
            print(told(fault, values))
    if not any(found.values()):
        return
    print(told('all', list(chain(*found.values()))))
    print(arm.judged())


if __name__ == '__main__':
    main()
