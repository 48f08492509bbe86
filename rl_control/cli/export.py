# SPDX-License-Identifier: Apache-2.0
"""Export a checkpoint's policy to an ONNX file with its contract, verified against torch."""

import argparse
from pathlib import Path

from rl_control.cli import print_facts
from rl_control.common.errors import InvalidInput


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        'checkpoint', help='directory of a checkpoint, or of a run, for its newest')
    parser.add_argument('-o', '--output', default='policy.onnx', help='default policy.onnx')
    parser.add_argument('--json', action='store_true', help='print JSON')


def run(options: argparse.Namespace) -> int:
    """Load the agent, export, verify and save the policy."""
    from rl_control.learning.export import export_checkpoint  # torch takes seconds to import

    if not Path(options.output).parent.is_dir():
        raise InvalidInput(f'there is no directory for --output {options.output}; make it first')
    policy, error = export_checkpoint(Path(options.checkpoint))
    policy.save(options.output)
    print_facts({
        'policy': options.output,
        'version': policy.version,
        'contract_hash': policy.contract.hash,
        'parity_max_abs_error': error,
    }, options.json)
    return 0
