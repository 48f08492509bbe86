# SPDX-License-Identifier: Apache-2.0
"""Validate a policy against a robot configuration, as the policy node does at its start."""

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
        help='also validate against this running controller of ros2_control, such as '
        '/joint_trajectory_controller')
    parser.add_argument(
        '--manager', metavar='NODE', default='/controller_manager',
        help='controller manager, for the update rate')
    parser.add_argument('--json', action='store_true', help='print JSON')


def run(options: argparse.Namespace) -> int:
    """Print each finding; return 1 if the policy node would reject the policy."""
    findings = check(options.policy, options.robot, options.task)
    if options.controller:
        findings += _controller_findings(options)
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f'{finding.level:8} {finding.what}: {finding.text}')
    return int(any(finding.level == REFUSED for finding in findings))


def _controller_findings(options: argparse.Namespace) -> Iterator[Finding]:
    """Yield findings about the running controller."""
    if find_spec('rclpy') is None:
        raise InvalidInput(NO_ROS)
    os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)  # the wheels of rclpy need it
    from rl_control.ros.controller_info import query_controller  # other checks need no ROS

    try:
        contract = load(options.policy).contract
        arm = load_arm(options.robot or contract.robot, options.task or contract.task)
    except InvalidInput:
        return  # already among the findings
    facts = query_controller(options.controller, options.manager)
    yield from check_controller(facts, arm.settings.joint_names, arm.control_period)
