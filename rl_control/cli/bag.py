# SPDX-License-Identifier: Apache-2.0
"""Summarise rosbags, turn them into datasets, play them, export and import Minari datasets."""

import argparse
from importlib.util import find_spec
import json
import math
import os
from pathlib import Path
import sys
from typing import Any

from rl_control.bringup.run_graph import NO_ROS
from rl_control.cli._settings import add_settings, given_settings
from rl_control.common.errors import InvalidInput
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.make import NamedRobot


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their arguments."""
    commands = parser.add_subparsers(required=True, metavar='ACTION')
    info = commands.add_parser('info', help='summarise topics, time quality and losses')
    info.add_argument('bag', help='directory or file')
    info.add_argument('--json', action='store_true', help='print JSON')
    info.set_defaults(action_of_bag=_info)
    make = commands.add_parser('transitions', help='make a dataset of transitions from bags')
    make.add_argument('bags', nargs='+', metavar='BAG', help='directory or file; states and '
                      'commands of one run may be in two bags')
    make.add_argument('--robot', default='', help='name or path of its parameter file; required '
                      "for a robot's topics; default: the robot of the recording")
    make.add_argument('--task', default='', help='name or path of its parameter file')
    make.add_argument('-o', '--output', required=True, help='directory to create')
    make.add_argument('--raw', action='store_true',
                      help="use the robot's topics even where transitions were recorded")
    make.add_argument('--json', action='store_true', help='print the report as JSON')
    add_settings(
        make.add_argument_group("resampling of a robot's topics"), SamplingSettings)
    make.set_defaults(action_of_bag=_transitions)
    play = commands.add_parser('play', help='play recorded transitions into a running learner')
    play.add_argument('bag', help='directory or file')
    play.add_argument('--rate', type=float, default=0.0, metavar='TIMES',
                      help='times the recorded speed; default: as the learner acknowledges')
    play.add_argument('--namespace', default='', help='namespace of the learner')
    play.add_argument('--json', action='store_true', help='print JSON')
    play.set_defaults(action_of_bag=_play)
    export = commands.add_parser('minari', help='export a dataset to Minari')
    export.add_argument('dataset', help='directory made by `bag transitions`')
    export.add_argument('name', help='name in Minari, such as arm/reach-v0')
    export.set_defaults(action_of_bag=_to_minari)
    importer = commands.add_parser('from-minari', help='import a dataset from Minari')
    importer.add_argument('name', help='name in Minari, such as arm/reach-v0')
    importer.add_argument('-o', '--output', required=True, help='directory to create')
    importer.set_defaults(action_of_bag=_from_minari)


def run(options: argparse.Namespace) -> int:
    """Run the chosen command; return the exit status."""
    return options.action_of_bag(options)


def _info(options: argparse.Namespace) -> int:
    from rl_control.bags.bag_info import survey
    from rl_control.bags.bag_reader import Bag

    facts = survey(Bag(options.bag))
    if options.json:
        print(json.dumps(facts, indent=2))
        return 0
    print(f'{facts["bag"]}: {facts["bytes"] / 1e6:.1f} MB, {facts["duration"]:.1f} s, '
          f'{facts["messages"]} messages')
    for topic in facts['topics']:
        print(f'{topic["name"]} ({topic["type"]}, {topic["encoding"]})')
        print(f'    {_time_words(topic)}')
    _print_losses(facts['losses'])
    return 0


def _transitions(options: argparse.Namespace) -> int:
    from rl_control.bags.dataset_builder import make_dataset, open_bags

    def on_report(report: dict[str, Any]) -> None:
        if not options.json or not report['transitions']:
            _print_report(report)

    report, digest = make_dataset(
        open_bags(options.bags), options.output, NamedRobot(options.robot, options.task),
        given_settings(options, SamplingSettings), options.raw, on_report)
    facts = {'dataset': options.output, 'transitions': report['transitions'], 'digest': digest}
    if options.json:
        print(json.dumps(facts | {'report': report}, indent=2))
    else:
        print(f'dataset {options.output}: {report["transitions"]} transitions, digest {digest}')
    return 0


def _play(options: argparse.Namespace) -> int:
    if find_spec('rclpy') is None:
        raise InvalidInput(NO_ROS)
    if not 0.0 <= options.rate < math.inf:
        raise InvalidInput(f'--rate is {options.rate}; give a number above 0')
    os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)  # the wheels of rclpy need it
    from rl_control.bags.bag_reader import Bag
    from rl_control.ros.transition_player import play_with_own_node  # other actions need no ROS

    bag = Bag(options.bag)
    facts = play_with_own_node(bag, options.rate, options.namespace,
                       lambda line: print(line, file=sys.stderr, flush=True))
    if options.json:
        print(json.dumps({'runs': facts, 'losses': bag.losses.figures()}, indent=2))
        return 0
    for run, counts in facts.items():
        print(f'{run}: {counts["transitions"]} transitions, {counts["not_recorded"]} not recorded')
    _print_losses(bag.losses.figures())
    return 0


def _to_minari(options: argparse.Namespace) -> int:
    from rl_control.bags.dataset import Dataset
    from rl_control.bags.minari import export_minari

    dataset = Dataset.load(options.dataset)
    episodes = export_minari(dataset, options.name)
    print(f'{options.name}: {len(dataset)} transitions in {episodes} episodes')
    return 0


def _from_minari(options: argparse.Namespace) -> int:
    from rl_control.bags.minari import import_minari

    dataset = import_minari(options.name)
    dataset.save(Path(options.output))
    print(f'dataset {options.output}: {len(dataset)} transitions of {dataset.contract.robot}')
    for reason, count in dataset.report['refused'].items():
        print(f'    {count} rows rejected: {reason}')
    for sentence in dataset.report['differences']:
        print(f'    {sentence}')
    return 0


def _print_report(report: dict[str, Any]) -> None:
    print(report['kind'])
    if 'runs' in report:
        for run, known in report['runs'].items():
            print(f'{run}: {known["received"]} rows, {known["duplicates"]} more than once, '
                  f'{known["lost"]} not recorded')
        for reason, count in report['refused'].items():
            print(f'    {count} rows rejected: {reason}')
    for bag in report['bags']:
        print(bag['bag'])
        if 'clock' in bag:
            _print_sampling(bag)
        _print_losses(bag['losses'])


def _print_sampling(bag: dict[str, Any]) -> None:
    if 'overlap' in bag:
        print('    joined by receive time: states and commands overlap for '
              f'{bag["overlap"]:.2f} s')
    print(f'    time of {bag["clock"]}: {bag["clock_why"]}')
    print(f'    action: {bag["action"]} of {bag["command"] or bag["states"]}')
    for sentence in bag['assumed']:
        print(f'    assumed: {sentence}')
    print(f'    {bag["transitions"]} transitions in {bag["episodes"]} episodes from '
          f'{bag["ticks"]} ticks ({bag["share"]:.1%})')
    for reason, count in bag['reasons'].items():
        print(f'        {count} not: {reason}')
    if largest := bag.get('largest_refused_action'):
        print('        rejected actions reach '
              + ', '.join(f'{name} {value:.2f}' for name, value in largest.items()) + ' rad/s')
    for name in ('state_age', 'command_age'):
        ages = bag[name]
        if ages['p50'] is not None:
            words = name.replace('_', ' ')
            print(f'    {words} at a tick: {1e3 * ages["p50"]:.1f} ms, 99 % below '
                  f'{1e3 * ages["p99"]:.1f} ms, {1e3 * ages["largest"]:.1f} ms at most')
    for name, topic in bag['time_quality'].items():
        print(f'    {name}: {_time_words(topic)}')
        for found in topic.get('findings', ()):
            cause = f'; likely cause: {found["cause"]}' if found['cause'] else ''
            print(f'        {found["count"]}: {found["finding"]}{cause}')


def _time_words(topic: dict[str, Any]) -> str:
    """Return a topic's time quality in one line."""
    if topic['messages'] < 2:
        return f'{topic["messages"]} messages{_begin_words(topic)}'
    if not topic['largest_gap']:
        return f'{topic["messages"]} messages, all with one receive time{_begin_words(topic)}'
    words = (f'{topic["messages"]} messages, {topic["rate"] or 0.0:.1f} Hz, jitter '
             f'{1e3 * topic["jitter_p50"]:.1f} ms (99 %: {1e3 * topic["jitter_p99"]:.1f} ms), '
             f'{topic["gaps"]} gaps up to {topic["largest_gap"]:.3f} s, '
             f'{topic["missing_estimate"]} missing{_begin_words(topic)}')
    if 'stamp_pace' not in topic:
        return words if 'clock' not in topic else f'{words}; no stamps'
    pace = topic['stamp_pace']
    words += (f'; receipt - stamp {topic["offset_least"]:.3f} to {topic["offset_largest"]:.3f} s'
              + (f', stamps pass {pace:.3f} s a second' if pace is not None else ''))
    if topic['stamps_equal_to_the_last'] or topic['stamps_before_the_last']:
        words += (f', {topic["stamps_equal_to_the_last"]} equal to the last and '
                  f'{topic["stamps_before_the_last"]} before it')
    return words


def _begin_words(topic: dict[str, Any]) -> str:
    """Return when the commands of a topic begin, '' where that is no matter of their stamps."""
    if 'begins_least' in topic:
        return (f'; {topic["stamped"]} begin {topic["begins_least"]:.3f} to '
                f'{topic["begins_largest"]:.3f} s after they are received, by their stamps')
    return '; all begin when received' if topic.get('stamped') == 0 else ''


def _print_losses(losses: dict[str, Any]) -> None:
    for sentence in losses['files']:
        print(f'    lost: {sentence}', file=sys.stderr)
    for lost in losses['messages']:
        print(f'    lost: {lost["count"]} messages of {lost["topic"]}: {lost["reason"]}',
              file=sys.stderr)
