# SPDX-License-Identifier: Apache-2.0
"""Animation of a policy in simulation: as a GIF, or in a window in real time."""

from collections.abc import Callable
from pathlib import Path
import time

import numpy as np
from PIL import Image

from rl_control.common.errors import InvalidInput
from rl_control.environments.arm_environment import ArmEnvironment
from rl_control.policies.onnx_policy import OnnxPolicy

GOALS = 4  # goals of an animation
FRAME_TICKS = 2  # control periods between two frames


def animation(
    policy: OnnxPolicy, environment: ArmEnvironment, seed: int, path: Path, goals: int = GOALS,
) -> int:
    """Save a real-time GIF of the policy at `goals` goals; return how many it reached."""
    frames: list[Image.Image] = []

    def on_tick(tick: int) -> None:
        if tick % FRAME_TICKS == 0:
            frames.append(Image.fromarray(environment.render()))

    reached = _episodes(policy, environment, seed, goals, on_tick)
    period = round(1000.0 * FRAME_TICKS * environment.contract.control_period)
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

    def on_tick(tick: int) -> None:
        nonlocal due
        environment.render()  # moves the ball to the goal
        due += environment.contract.control_period
        time.sleep(max(0.0, due - time.monotonic()))

    return _episodes(policy, environment, seed, goals, on_tick)


def _episodes(
    policy: OnnxPolicy, environment: ArmEnvironment, seed: int, goals: int,
    on_tick: Callable[[int], None],
) -> int:
    """Return the successes of `goals` episodes; `on_tick` is called before each tick of one."""
    rng = np.random.default_rng(seed)
    reached = 0
    for _ in range(goals):
        observation, done, tick = environment.reset(rng), False, 0
        while not done:
            on_tick(tick)
            outcome = environment.step(policy.act(observation)[0])
            observation, tick = outcome.observation, tick + 1
            done = outcome.terminated or outcome.truncated
        reached += outcome.success
    return reached
