# SPDX-License-Identifier: Apache-2.0
"""
Train from fixed data: a bag, a dataset or the journal of a run, without robot and simulator.

Run the same command again to resume a training that was stopped or killed.
"""

import argparse
from collections.abc import Mapping

from rl_control.cli._settings import add_settings, given_settings
from rl_control.common.signals import INTERRUPTED, interrupts
from rl_control.config.files import read_parameter_file
from rl_control.config.offline import OfflineSettings
from rl_control.config.sampling import SamplingSettings
from rl_control.report.console_status import Status

PLAIN_PERIOD = 5.0  # s between two lines where there is no terminal


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_settings(parser, OfflineSettings)
    parser.add_argument('--seed', type=int, help='seed of weights and batches; default 0')
    parser.add_argument(
        '--parameters', metavar='FILE',
        help="parameter file; its algorithm.* override those of the data's task; it may also set "
             'the options, as OUT/parameters.yaml does')
    add_settings(
        parser.add_argument_group("how a robot's topics are sampled"), SamplingSettings)


def run(options: argparse.Namespace) -> int:
    """Train and print the results; return 130 if it was interrupted."""
    file = options.parameters
    settings, sampling = (
        given_settings(options, kind, read_parameter_file(file, name) if file else None)
        for name, kind in (('offline', OfflineSettings), ('sampling', SamplingSettings)))
    values = read_parameter_file(file, 'algorithm') if file else {}
    if options.seed is not None:
        values['seed'] = options.seed
    # Torch takes seconds to import.
    from rl_control.offline.run import finish, prepare, sentences

    training = prepare(settings, values, sampling)  # Ctrl-C ends the process
    with interrupts() as interrupted, Status('offline', PLAIN_PERIOD) as status:
        def show(what: str, figures: Mapping[str, float]) -> None:
            status.show({'doing': what, **{
                name.replace('_', ' '): f'{value:.5g}' for name, value in figures.items()}})

        report = finish(training, show, lambda: bool(interrupted))
    if report is None:
        print(f'stopped; run the same command again to resume from {settings.out}')
        return INTERRUPTED
    print('\n'.join(sentences(report)))
    print(f'{settings.out}: policy.onnx, report.html, report.json, metrics.jsonl, checkpoints')
    return 0
