# SPDX-License-Identifier: Apache-2.0
"""Say what the policy node would refuse, and what to know, before an arm moves."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
import json
import os
import sys

from rl_control.bringup.run_graph import NO_ROS
from rl_control.common.errors import InvalidInput
from rl_control.control.preflight import REFUSED, Finding, check, check_controller
from rl_control.environments.make import load_arm
from rl_control.policies.onnx_policy import load


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('policy', help='path of the ONNX file')
    parser.add_argument('--robot', default='', help="name or path; default: the policy's own")
    parser.add_argument('--task', default='', help="name or path; default: the policy's own")
    parser.add_argument(
        '--controller', metavar='NODE',
        help='also ask this running controller of ros2_control, such as '
        '/joint_trajectory_controller')
    parser.add_argument(
        '--manager', metavar='NODE', default='/controller_manager',
        help='whom to ask for the update rate')
    parser.add_argument('--json', action='store_true', help='print JSON')


def run(options: argparse.Namespace) -> int:
    """Print each finding; return 1 if anything would be refused."""
    findings = check(options.policy, options.robot, options.task)
    if options.controller:
        findings += _asked(options)
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f'{finding.level:8} {finding.what}: {finding.text}')
    return int(any(finding.level == REFUSED for finding in findings))


def _asked(options: argparse.Namespace) -> Iterator[Finding]:
    """Yield what a running controller is found to be."""
    if find_spec('rclpy') is None:
        raise InvalidInput(NO_ROS)
    os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)  # the wheels of rclpy want it
    from rl_control.ros.controller_info import ask  # the rest needs no ROS

    try:
        contract = load(options.policy).contract
        arm = load_arm(options.robot or contract.robot, options.task or contract.task)
    except InvalidInput:
        return  # it is among the findings
    facts = ask(options.controller, options.manager)
    yield from check_controller(facts, arm.settings.joint_names, arm.control_period)
