# SPDX-License-Identifier: Apache-2.0
"""Print a policy's contract, version, training run and digest."""

import argparse
from dataclasses import asdict
import json

from rl_control.policies.onnx_policy import OnnxPolicy, load


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('policy', help='path of the ONNX file')
    parser.add_argument('--json', action='store_true', help='print JSON')


def run(options: argparse.Namespace) -> int:
    """Validate the file as the policy node does, and print its metadata."""
    policy = load(options.policy)
    if options.json:
        print(json.dumps(_facts(policy), indent=2))
    else:
        _print_text(policy)
    return 0


def _facts(policy: OnnxPolicy) -> dict[str, object]:
    return {
        'algorithm': policy.algorithm,
        'run': policy.run,
        'version': policy.version,
        'training_steps': policy.training_steps,
        'digest': policy.digest,
        'contract_hash': policy.contract.hash,
        'contract': asdict(policy.contract),
    }


def _print_text(policy: OnnxPolicy) -> None:
    contract = policy.contract
    print(f'{policy.algorithm}, version {policy.version} of run {policy.run}, learned from '
          f'{policy.training_steps} transitions')
    print(f'task {contract.task} with robot {contract.robot}, a tick every '
          f'{contract.control_period:g} s, commands of {contract.command_interface}')
    print(f'joints: {", ".join(contract.joint_names) or "none"}')
    print(f'{len(contract.observation)} observations: '
          + ', '.join(f'{column.name} [{column.unit}]' for column in contract.observation))
    print(f'{len(contract.action)} actions: ' + ', '.join(
        f'{column.name} from {low:g} to {high:g} {column.unit}' for column, low, high in zip(
            contract.action, contract.action_low, contract.action_high, strict=True)))
    print(f'contract {contract.hash}')
    print(f'digest {policy.digest}')
