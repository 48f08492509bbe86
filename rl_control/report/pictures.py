# SPDX-License-Identifier: Apache-2.0
"""The learning curve, and the arm in motion."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from rl_control.environments.arm import ArmEnvironment
from rl_control.policy import OnnxPolicy

GOALS = 4  # goals that the animation shows
EVERY = 2  # ticks between two frames


def learning_curve(evaluations: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw success rate with its interval, and return, over transitions."""
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(7.0, 5.5))
    transitions = [evaluation['transitions'] for evaluation in evaluations]
    rates = [evaluation['success_rate'] for evaluation in evaluations]
    intervals = np.array([evaluation['interval'] for evaluation in evaluations]).reshape(-1, 2)
    above.fill_between(transitions, intervals[:, 0], intervals[:, 1], alpha=0.2, lw=0)
    above.plot(transitions, rates, marker='o', markersize=3)
    above.set_ylabel('success rate, with 95 % interval')
    above.set_ylim(-0.02, 1.02)
    below.plot(
        transitions, [evaluation['mean_return'] for evaluation in evaluations], marker='o',
        markersize=3)
    below.set_ylabel('mean return')
    below.set_xlabel('transitions')
    for axes in (above, below):
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def animation(policy: OnnxPolicy, environment: ArmEnvironment, seed: int, path: Path) -> None:
    """Save a GIF in real time of the policy reaching a few goals."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(GOALS):
        observation, done, tick = environment.reset(rng), False, 0
        while not done:
            if tick % EVERY == 0:
                frames.append(Image.fromarray(environment.render()))
            outcome = environment.step(policy.act(observation)[0])
            observation, tick = outcome.observation, tick + 1
            done = outcome.terminated or outcome.truncated
    period = round(1000.0 * EVERY * environment.contract.control_period)
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=period, loop=0, optimize=True)
