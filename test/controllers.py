# SPDX-License-Identifier: Apache-2.0
"""A policy controller on an arm without a driver."""

from arms import acting, iiwa
import numpy as np

from rl_control.control.emulated_controllers import TrajectoryController
from rl_control.control.policy_controller import (
    Margins,
    PolicyController,
)
from rl_control.control.state_evidence import EVIDENCE_SAMPLES

PERIOD = iiwa().control_period
GOAL = np.array([0.4, 0.2, 0.6])
WAVE = np.array([1.0, -1.5, 0.7, -2.0, 2.0, -3.0, 3.0])


def wave(observation: np.ndarray) -> np.ndarray:
    """Request what depends on every column, so that a wrong one shows."""
    return WAVE * np.sin(np.sum(observation * np.linspace(0.2, 1.0, len(observation))))


def give_evidence(controller: PolicyController, q: np.ndarray, now: float, stamp: float) -> None:
    """Let the joint states come that are awaited before a motion, the last 1 ms before `now`."""
    for number in range(EVIDENCE_SAMPLES, 0, -1):
        before = 1e-3 * number
        controller.receive(now - before, stamp - before, q, np.zeros_like(q))


class Rig:
    """A Driving whose joint states are where its own commands are, tick by tick."""

    def __init__(self, act=wave, interlocks=(), evidence=True, **margins) -> None:
        self.arm = iiwa()
        self.controller = PolicyController(self.arm, Margins(**margins), interlocks)
        self.controller.policy, self.controller.goal = acting(act), GOAL
        self.trajectory_controller = TrajectoryController(self.arm.home)
        self.now, self.stamp = 100.0, 5000.0
        self.plans = []
        if evidence:
            give_evidence(
                self.controller, self.arm.home, self.now, self.stamp + self.now)

    def sense(self, **changes) -> None:
        """Let one joint state come in."""
        q, dq = self.trajectory_controller.sample(self.now)
        values = {'receipt': self.now, 'stamp': self.stamp + self.now, 'q': q, 'dq': dq}
        self.controller.receive(**{**values, **changes})

    def tick(self, sensed: bool = True, late: float = 0.0, after: float = PERIOD):
        """Let `after` s pass and tick, `late` s after it was due."""
        self.now += after + late
        if sensed:
            self.sense()
        plan = self.controller.tick(self.now, self.now - late)
        self.now -= late
        self.plans.append(plan)
        if plan is not None:
            self.trajectory_controller.follow(np.array(plan.times), plan.commands)
            self.trajectory_controller.sample(self.now + late)
        return plan
