# SPDX-License-Identifier: Apache-2.0
"""The pages of parameters and of commands are the code's, and they leave nothing out."""

from dataclasses import fields
from pathlib import Path
import re

from rl_control.bringup.graphs import GRAPHS
from rl_control.cli import COMMANDS
from rl_control.cli.parameters import commands_page
from rl_control.config.reference import SECTIONS, reference
from rl_control.config.task import TaskSettings
from rl_control.learning.algorithms import ALGORITHMS, settings_of

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / 'docs' / 'parameters.md').read_text(encoding='utf-8')
    assert page == reference({name: settings_of(name) for name in ALGORITHMS}), (
        'run: rl-control parameters > docs/parameters.md')


def test_the_page_of_commands_is_up_to_date() -> None:
    page = (ROOT / 'docs' / 'commands.md').read_text(encoding='utf-8')
    assert page == commands_page(COMMANDS), (
        'run: rl-control parameters --commands > docs/commands.md')
    for name in [*COMMANDS, *GRAPHS, *(one.name for one in GRAPHS['train_robot'].arguments)]:
        assert name in page


def test_every_declared_parameter_is_on_the_page() -> None:
    declared = {}
    for path in (ROOT / 'rl_control').rglob('*.py'):
        declared |= dict(re.findall(
            r"\bdeclare\(\w+, '(\w+)', (\w+)", path.read_text(encoding='utf-8')))
    assert declared.pop('algorithm') == 'settings_of'
    # The class of a task's settings is the task's own, those of the package TaskSettings.
    assert declared.pop('task') == 'settings_class'
    declared['task'] = TaskSettings.__name__
    assert declared == {prefix: kind.__name__ for prefix, (kind, _) in SECTIONS.items()}


def test_every_field_has_a_row_in_its_section() -> None:
    page = (ROOT / 'docs' / 'parameters.md').read_text(encoding='utf-8')
    sections = dict(re.findall(r'^##+ (\w+)\n(.*?)(?=^##|\Z)', page, re.M | re.S))
    for prefix, (settings, _) in SECTIONS.items():
        rows = re.findall(r'^\| `(\w+)`', sections[prefix], re.M)
        assert rows == [item.name for item in fields(settings)]
    for name in ALGORITHMS:
        rows = re.findall(r'^\| `(\w+)`', sections['algorithm'] + sections[name], re.M)
        assert set(rows) == {item.name for item in fields(settings_of(name))}
