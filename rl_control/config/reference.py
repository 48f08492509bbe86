# SPDX-License-Identifier: Apache-2.0
"""Every parameter of every node as one document, made from the settings themselves."""

from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from typing import Any, get_args, get_origin

from rl_control.config.base import Settings, kind_of
from rl_control.config.hardware import HardwareSettings
from rl_control.config.nodes import (
    BroadcasterSettings,
    CollectorSettings,
    EvaluatorSettings,
    GateSettings,
    LearnerSettings,
    MonitorSettings,
    PolicyNodeSettings,
    RecorderSettings,
    SceneSettings,
    SimulatorSettings,
    WatcherSettings,
)
from rl_control.config.offline import OfflineSettings
from rl_control.config.randomization import RandomizationSettings
from rl_control.config.robot import RobotSettings
from rl_control.config.sampling import SamplingSettings
from rl_control.config.task import TaskSettings

# Prefix: the settings, and the nodes that declare them.
SECTIONS: dict[str, tuple[type[Settings], str]] = {
    'robot': (RobotSettings, 'every node that knows an arm'),
    'task': (TaskSettings, 'every node that knows an arm'),
    'learner': (LearnerSettings, 'learner'),
    'broadcaster': (BroadcasterSettings, 'broadcaster'),
    'collector': (CollectorSettings, 'collector'),
    'randomization': (RandomizationSettings, 'collector, with a simulated arm'),
    'hardware': (HardwareSettings, 'collector, with `collector.robot: ros`'),
    'monitor': (MonitorSettings, 'monitor'),
    'policy': (PolicyNodeSettings, 'policy'),
    'gate': (GateSettings, 'command_gate'),
    'simulator': (SimulatorSettings, 'simulator'),
    'evaluator': (EvaluatorSettings, 'evaluator'),
    'scene': (SceneSettings, 'scene'),
    'watcher': (WatcherSettings, 'watcher'),
    'recorder': (RecorderSettings, 'recorder'),
    'offline': (OfflineSettings, 'offline'),
    'sampling': (SamplingSettings, 'offline'),
}

BEGINNING = '''# Parameters

Made by `rl-control parameters`; a test compares. `ros2 param describe NODE NAME` says the same of
a node that runs. A file of parameters is `/**: ros__parameters: PREFIX: NAME: VALUE`, as in
`config/`, whose files set some of these to other values than the defaults below; a training takes
one of your own as `parameters:=FILE`. Integers are taken for doubles. *Live* ones change while the
node runs, by `ros2 param set`, which says why when it refuses.
'''


def reference(algorithms: Mapping[str, type[Settings]]) -> str:
    """Return the document in Markdown; `algorithms` are the settings of each by name."""
    parts = [BEGINNING]
    for prefix, (settings, nodes) in SECTIONS.items():
        parts += [f'## {prefix}', f'Of: {nodes}. {_about(settings)}', _table(settings)]
    shared, *_ = [kind for kind in next(iter(algorithms.values())).__mro__
                  if all(issubclass(settings, kind) for settings in algorithms.values())]
    parts += ['## algorithm', f'Of: learner, offline. {_about(shared)}', _table(shared)]
    for name, settings in algorithms.items():
        parts += [f'### {name}', _about(settings), _table(settings, beside=shared)]
    return '\n\n'.join(part.strip() for part in parts) + '\n'


def _about(settings: type[Settings]) -> str:
    first, *_ = (settings.__doc__ or '').strip().split('\n\n')
    return ' '.join(first.split())


def _table(settings: type[Settings], beside: type[Settings] | None = None) -> str:
    """Return the fields of `settings`; `beside` another, those that are not the same there."""
    known = {} if beside is None else {item.name: _row(beside, item) for item in fields(beside)}
    rows = [row for item in fields(settings)
            if (row := _row(settings, item)) != known.get(item.name)]
    return '\n'.join(
        ['| name | type | default | range | meaning |', '|---|---|---|---|---|', *rows])


def _row(settings: type[Settings], item: Field[Any]) -> str:
    about, kind = item.metadata, kind_of(settings, item.name)
    if get_origin(kind) is tuple:
        word = f'list of {get_args(kind)[0].__name__}'
    else:
        word = {float: 'double', str: 'string'}.get(kind, kind.__name__)
    default = list(item.default) if isinstance(item.default, tuple) else item.default
    shown = 'empty' if default in ('', []) else f'`{str(default).lower()}`' if isinstance(
        default, bool) else f'`{default}`'
    unit = f' {about["unit"]}' if about['unit'] else ''
    live = ' *Live.*' if about['live'] else ''
    return (f'| `{item.name}` | {word} | {shown}{unit} | {" ".join(_range(about))} '
            f'| {about["doc"]}{live} |')


def _range(about: Mapping[str, Any]) -> Iterator[str]:
    if about['choices']:
        yield ', '.join(f'`{choice}`' for choice in about['choices'])
    if about['low'] is not None:
        yield f'from {about["low"]:g}'
    if about['high'] is not None:
        yield f'to {about["high"]:g}'
