# SPDX-License-Identifier: Apache-2.0
"""The command gate: follows, comes to rest by itself, begins from where the arm is."""

from arms import iiwa
import numpy as np

from rl_control.common.types import Command
from rl_control.control.command_gate import IDLE_TIMEOUT, Gate
from rl_control.control.emulated_controllers import ForwardVelocity
from rl_control.control.stop_trajectory import Plan
from rl_control.robots.limits import limit

HOME = iiwa().home
STEP = 0.005


def plan_from(previous: Command, request: float = 0.8) -> Plan:
    command = limit(np.full(7, request), previous, 0.05, iiwa().limits)
    return Plan.of(command, 0.05, iiwa().limits)


def driven(gate: Gate, ticks: int) -> tuple[float, Command, list[np.ndarray]]:
    """Let a sender drive for `ticks`, then fall silent; return its last word and all that came."""
    arm, now, previous, sent = ForwardVelocity(HOME), 10.0, Command.at_rest(HOME), []
    for step in range(round(ticks * 0.05 / STEP) + 250):
        q, _ = arm.sample(now)
        gate.receive(now, 1e9 + now, q)
        if step % round(0.05 / STEP) == 0 and step < ticks * round(0.05 / STEP):
            plan, last = plan_from(previous), now
            previous = plan.commands[0]
            assert gate.follow(now, np.array(plan.times), plan.commands)
        command = gate.sample(now)
        arm.forward(command)
        sent.append(command)
        now += STEP
    return last, plan, sent


def test_velocity_comes_to_rest_when_the_sender_is_silent() -> None:
    gate = Gate(iiwa(), True, 2.0, 0.1)
    last, plan, sent = driven(gate, 12)
    ends = round((last + plan.times[-1] - 10.0) / STEP) + 2
    assert max(np.abs(dq).max() for dq in sent) > 0.7
    assert plan.times[-1] < 0.3
    assert not np.any(sent[ends:])
    assert (np.abs(np.diff(sent, axis=0)) <= iiwa().limits.acceleration * STEP * 1.3).all()


def test_velocity_leads_to_the_position_that_was_meant() -> None:
    gate = Gate(iiwa(), True, 2.0, 0.1)
    _, plan, sent = driven(gate, 12)
    np.testing.assert_allclose(
        HOME + STEP * np.sum(sent, axis=0), plan.commands[-1].q, atol=2e-3)


def test_without_fresh_joint_states_nothing_is_begun() -> None:
    gate = Gate(iiwa(), False, 0.0, 0.1)
    plan = plan_from(Command.at_rest(HOME))
    assert not gate.follow(1.0, np.array(plan.times), plan.commands)
    assert gate.sample(1.0) is None
    gate.receive(1.0, 1.0, HOME)
    assert not gate.follow(1.2, np.array(plan.times), plan.commands)
    assert gate.follow(1.05, np.array(plan.times), plan.commands)
    np.testing.assert_allclose(gate.sample(1.05), HOME)


def test_after_a_pause_it_begins_from_where_the_arm_is() -> None:
    gate = Gate(iiwa(), False, 0.0, 0.1)
    gate.receive(1.0, 1.0, HOME)
    plan = plan_from(Command.at_rest(HOME))
    gate.follow(1.0, np.array(plan.times), plan.commands)
    gate.sample(1.0)
    later = 1.0 + plan.times[-1] + IDLE_TIMEOUT + 0.01
    assert gate.sample(later) is None  # position: the arm may have been moved by hand
    moved = HOME + 0.3
    gate.receive(later, later, moved)
    plan = plan_from(Command.at_rest(moved))
    gate.follow(later, np.array(plan.times), plan.commands)
    np.testing.assert_allclose(gate.sample(later), moved)
