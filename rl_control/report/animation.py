# SPDX-License-Identifier: Apache-2.0
"""The arm in motion: as a GIF, or in a window in real time."""

from collections.abc import Callable
from pathlib import Path
import time

import numpy as np
from PIL import Image

from rl_control.common.errors import InvalidInput
from rl_control.environments.arm_environment import ArmEnvironment
from rl_control.policies.onnx_policy import OnnxPolicy

GOALS = 4  # goals that an animation shows
EVERY = 2  # ticks between two frames


def animation(
    policy: OnnxPolicy, environment: ArmEnvironment, seed: int, path: Path, goals: int = GOALS,
) -> int:
    """Save a GIF in real time of the policy at a few goals; return how many it reached."""
    frames: list[Image.Image] = []

    def look(tick: int) -> None:
        if tick % EVERY == 0:
            frames.append(Image.fromarray(environment.render()))

    reached = _episodes(policy, environment, seed, goals, look)
    period = round(1000.0 * EVERY * environment.contract.control_period)
    try:
        frames[0].save(
            path, format='GIF', save_all=True, append_images=frames[1:], duration=period, loop=0,
            optimize=True)
    except OSError as error:
        raise InvalidInput(f'{path} cannot be written ({error.strerror}); give another') from error
    return reached


def perform(policy: OnnxPolicy, environment: ArmEnvironment, seed: int, goals: int) -> int:
    """Run the policy in the simulator's window in real time; return how many goals it reached."""
    due = time.monotonic()

    def look(tick: int) -> None:
        nonlocal due
        environment.render()  # which puts the ball at the goal
        due += environment.contract.control_period
        time.sleep(max(0.0, due - time.monotonic()))

    return _episodes(policy, environment, seed, goals, look)


def _episodes(
    policy: OnnxPolicy, environment: ArmEnvironment, seed: int, goals: int,
    look: Callable[[int], None],
) -> int:
    """Return the successes of `goals` episodes; `look` is called before each tick of one."""
    rng = np.random.default_rng(seed)
    reached = 0
    for _ in range(goals):
        observation, done, tick = environment.reset(rng), False, 0
        while not done:
            look(tick)
            outcome = environment.step(policy.act(observation)[0])
            observation, tick = outcome.observation, tick + 1
            done = outcome.terminated or outcome.truncated
        reached += outcome.success
    return reached
