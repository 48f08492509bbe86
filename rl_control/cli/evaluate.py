# SPDX-License-Identifier: Apache-2.0
"""Evaluate a policy in simulation: success rate with its Wilson interval, mean return."""

import argparse

from rl_control.cli import print_facts
from rl_control.cli._simulator import add_simulator, announce
from rl_control.common.errors import InvalidInput
from rl_control.environments.make import GYMNASIUM_PREFIX, make_environment
from rl_control.policies.evaluate import evaluate
from rl_control.policies.onnx_policy import load
from rl_control.robots.engines import resolve


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('policy', help='path of the ONNX file')
    parser.add_argument('--episodes', type=int, default=100, help='default 100')
    parser.add_argument('--seed', type=int, default=0, help='seed of starts and goals, default 0')
    parser.add_argument('--robot', help="name or path; default: the policy's own")
    parser.add_argument('--task', help="name or path; default: the policy's own")
    add_simulator(parser)
    parser.add_argument(
        '--randomization', default='',
        help='name or path of a domain randomization; default: none')
    parser.add_argument('--json', action='store_true', help='print JSON')


def run(options: argparse.Namespace) -> int:
    """Run the episodes and print the figures."""
    if options.episodes < 1:
        raise InvalidInput(f'--episodes is {options.episodes}; give 1 or more')
    if options.seed < 0:
        raise InvalidInput(f'--seed is {options.seed}; give 0 or more')
    policy = load(options.policy)
    robot = options.robot or policy.contract.robot
    task = options.task or ('' if robot.startswith(GYMNASIUM_PREFIX) else policy.contract.task)
    engine = '' if robot.startswith(GYMNASIUM_PREFIX) else resolve(options.simulator)
    environment = make_environment(robot, task, options.randomization, engine)
    try:
        environment.contract.require_equal(policy.contract, f'robot {robot}', options.policy)
        if engine:
            announce(engine)
        results = evaluate(policy, environment, options.episodes, options.seed)
    finally:
        environment.close()
    score = results.score
    print_facts({
        **({'simulator': engine} if engine else {}),
        'episodes': score.episodes,
        'success_rate': score.success_rate,
        'interval': [round(end, 4) for end in score.interval] if score.judged else None,
        'mean_return': score.mean_return,
    }, options.json)
    return 0
