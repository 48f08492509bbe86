# SPDX-License-Identifier: Apache-2.0
"""
Rate of the simulated arms of both physics engines, beside bare loops of the same engine.

The commands of a random policy in 500 control periods of 12 substeps are replayed by `send` and
`read` of the simulator, and as the same setpoints by the engine's calls alone.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
import json
import sys
import time

import numpy as np

from benchmarks.parts.comparison import Comparison, Contender, Figures, Goal, Scale, compare
from benchmarks.parts.subprocesses import run_module
from rl_control.environments.make import load_arm, simulate

NAMES = {'pybullet': 'PyBullet', 'mujoco': 'MuJoCo'}
PERIODS = 500


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield control periods/s of each arm in each engine."""
    seconds, rounds = scale.size(3, 1), min(scale.rounds, 5)
    for robot in ('two_joint', 'iiwa', 'panda'):
        contenders, goals = [], []
        for engine, name in NAMES.items():
            ours, limit = f'rl_control, {name}', f'limit: bare {name}'
            contenders += [
                Contender(ours, partial(_ready, engine, 'ours', engine, robot, seconds)),
                Contender(limit, partial(_ready, engine, 'bare', engine, robot, seconds))]
            goals.append(Goal('rate of a whole core', at_least=0.85, of=limit, by=ours))
        yield compare(f'simulator: {robot}', 'control periods/s', contenders, rounds, goals,
                      more=True)


def _ready(engine: str, *arguments: object) -> Callable[[], Figures]:
    """Return what measures in a process of its own; ModuleNotFoundError without the engine."""
    __import__(engine)
    return partial(run_module, __name__, *arguments)


def ours(engine: str, robot: str, seconds: float) -> Figures:
    """Send what was asked for, and read the joints."""
    world, commands = _asked(engine, robot)
    arm, turn = world._robot, count()

    def step() -> None:
        number = next(turn) % PERIODS
        if number == 0:
            arm.reset(world.arm.home)
        arm.send(commands[number])
        arm.read()

    return rates(step, seconds)


def bare(engine: str, robot: str, seconds: float) -> Figures:
    """Call the engine alone, with the setpoints of the same motion."""
    world, commands = _asked(engine, robot)
    arm, periods = world._robot, []
    arm.reset(world.arm.home)
    for command in commands:
        periods.append(arm._setpoints.advance(command))
    return rates(bare_step(arm, periods), seconds)


def bare_step(arm, periods: list[np.ndarray]) -> Callable[[], None]:
    """Return what makes one control period after another of the engine of `arm`."""
    turn, home = count(), periods[0][0][0]
    if arm.engine == 'mujoco':
        import mujoco

        model, data, step_, control = arm.model, arm.data, mujoco.mj_step, arm.data.ctrl
        rows = [arm._rows(period).copy() for period in periods]
        q, dq = arm._q, arm._dq

        def step() -> None:
            number = next(turn) % len(rows)
            if number == 0:
                arm.reset(home)
            for row in rows[number]:
                control[:] = row
                step_(model, data)
            data.qpos[q], data.qvel[dq]
    else:
        import pybullet

        body, joints, forces, client = arm.body, arm._joints, arm._forces, arm._client
        control_, step_, read = (
            pybullet.setJointMotorControlArray, pybullet.stepSimulation, pybullet.getJointStates)
        mode, lists = pybullet.POSITION_CONTROL, [period.tolist() for period in periods]

        def step() -> None:
            number = next(turn) % len(lists)
            if number == 0:
                arm.reset(home)
            for q, dq in lists[number]:
                control_(body, joints, mode, q, dq, forces, physicsClientId=client)
                step_(client)
            read(body, joints, client)

    return step


def _asked(engine: str, robot: str):
    """Return a world, and the commands (PERIODS of them) that random velocities become there."""
    world, commands = simulate(load_arm(robot, 'reach'), engine=engine), []
    send, rng = world._robot.send, np.random.default_rng(0)
    low, high = world.contract.action_low, world.contract.action_high

    def note(command) -> None:
        commands.append(command)
        send(command)

    world._robot.send = note
    world.reset(rng)
    for _ in range(PERIODS):
        world.step(rng.uniform(low, high))
    world._robot.send = send
    return world, commands


def rates(step: Callable[[], None], seconds: float) -> Figures:
    """Return how often `step` is done in a second, of a clock and of the processor's time."""
    for _ in range(20):
        step()
    began, spent, steps = time.monotonic(), time.process_time(), 0
    while time.monotonic() < began + seconds:
        step()
        steps += 1
    return {'rate': steps / (time.monotonic() - began),
            'rate of a whole core': steps / (time.process_time() - spent)}


if __name__ == '__main__':
    role, *arguments = json.loads(sys.argv[1])
    print(json.dumps({'ours': ours, 'bare': bare}[role](*arguments)))
