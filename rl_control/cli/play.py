# SPDX-License-Identifier: Apache-2.0
"""Show a policy in simulation: in a window, or as a GIF without a display."""

import argparse
import os
from pathlib import Path

from rl_control.cli._simulator import add_simulator, announce
from rl_control.common.errors import InvalidInput
from rl_control.environments.make import load_arm, load_randomization, simulate
from rl_control.policies.onnx_policy import load
from rl_control.robots.engines import resolve


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('policy', help='path of the ONNX file')
    parser.add_argument('--gif', type=Path, help='write this GIF instead of opening a window')
    parser.add_argument('--goals', type=int, default=4, help='number of goals, default 4')
    parser.add_argument('--seed', type=int, default=0, help='seed of starts and goals, default 0')
    parser.add_argument('--robot', help="name or path; default: the policy's own")
    parser.add_argument('--task', help="name or path; default: the policy's own")
    add_simulator(parser)
    parser.add_argument(
        '--randomization', default='',
        help='name or path of a domain randomization; default: none')


def run(options: argparse.Namespace) -> int:
    """Run and show the episodes."""
    from rl_control.report.animation import animation, perform  # matplotlib and Pillow: a second

    if options.goals < 1:
        raise InvalidInput(f'--goals is {options.goals}; give 1 or more')
    window = options.gif is None
    if window and not os.environ.get('DISPLAY'):
        raise InvalidInput('there is no display (DISPLAY is not set); give --gif FILE')
    policy = load(options.policy)
    robot = options.robot or policy.contract.robot
    arm = load_arm(robot, options.task or policy.contract.task)
    engine = resolve(options.simulator)
    world = simulate(
        arm, load_randomization(options.randomization), options.seed, window, engine)
    try:
        world.contract.require_equal(policy.contract, f'robot {robot}', options.policy)
        announce(engine)
        if window:
            reached = perform(policy, world, options.seed, options.goals)
        else:
            reached = animation(policy, world, options.seed, options.gif, options.goals)
    finally:
        world.close()
    print(f'{reached} of {options.goals} goals reached')
    return 0
