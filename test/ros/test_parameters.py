# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from pathlib import Path
import re
import shutil
import subprocess
import sys

import pytest
import rclpy
from rclpy.parameter import Parameter

from rl_control.common.errors import InvalidInput
from rl_control.config import files
from rl_control.config.base import Settings, setting
from rl_control.ros import parameters

Type = Parameter.Type


@dataclass(frozen=True)
class Oven(Settings):
    heat: float = setting(20.0, 'temperature', unit='K', low=0.0, high=500.0, live=True)
    racks: int = setting(2, 'number of racks', low=1, high=9, live=True)
    mode: str = setting('bake', 'what it does', choices=('bake', 'grill'))
    fan: bool = setting(False, 'whether air moves', live=True)
    zones: tuple[float, ...] = setting((), 'heat of each zone', unit='K', low=0.0, live=True)
    names: tuple[str, ...] = setting((), 'names of the zones')


@pytest.fixture
def make_node(ros):
    nodes = []

    def make(*overrides, file=None):
        arguments = ['--ros-args', '--params-file', str(file)] if file else None
        given = [Parameter(name, value=value) for name, value in overrides]
        node = rclpy.create_node(
            'oven_node', parameter_overrides=given, cli_args=arguments)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()


def write(path: Path, text: str) -> Path:
    path.write_text(f'/**:\n  ros__parameters:\n{text}')
    return path


def test_defaults_are_declared_with_unit_range_and_choices(make_node):
    node = make_node()
    assert parameters.declare(node, 'oven', Oven, heat=30.0) == Oven(heat=30.0)
    heat, mode = node.describe_parameter('oven.heat'), node.describe_parameter('oven.mode')
    assert heat.description == 'temperature (K)' and not heat.read_only
    assert (heat.floating_point_range[0].from_value, heat.floating_point_range[0].to_value) == (
        0.0, 500.0)
    assert node.describe_parameter('oven.racks').integer_range[0].to_value == 9
    assert mode.additional_constraints == 'one of bake, grill' and mode.read_only
    for name, kind in (('zones', Type.DOUBLE_ARRAY), ('names', Type.STRING_ARRAY)):
        held = node.get_parameter(f'oven.{name}')
        assert (held.type_, list(held.value)) == (kind, [])
        assert node.describe_parameter(f'oven.{name}').type == kind.value
    assert node.describe_parameter('oven.names').read_only


def test_file_is_taken_with_integers_for_doubles(make_node, tmp_path):
    text = '    oven: {heat: 5, zones: [1, 2], names: [a, b], racks: 3}\n    other: {x: 1}\n'
    node = make_node(file=write(tmp_path / 'p.yaml', text))
    made = parameters.declare(node, 'oven', Oven)
    assert made == Oven(heat=5.0, zones=(1.0, 2.0), names=('a', 'b'), racks=3)
    assert node.get_parameter('oven.heat').type_ == Type.DOUBLE
    assert list(node.get_parameter('oven.zones').value) == [1.0, 2.0]


@pytest.mark.parametrize(('name', 'value', 'sentence'), [
    ('oven.heat', float('nan'), 'heat is NaN'),
    ('oven.heat', 501.0, 'heat is 501.0; give a number from 0.0 to 500.0 K'),
    ('oven.heat', 'hot', "heat is 'hot'"),
    ('oven.racks', 2.5, 'racks is 2.5'),
    ('oven.mode', 'boil', 'known are bake, grill'),
    ('oven.zones', [1.0, -1.0], 'zones is -1.0'),
    ('oven.haet', 1.0, r'no parameter oven.haet; did you mean oven.heat\?'),
    ('oven.zzz', 1.0, 'no parameter oven.zzz; known are fan, heat'),
])
def test_bad_overrides_are_refused_by_name(make_node, name, value, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        parameters.declare(make_node((name, value)), 'oven', Oven)


def test_live_fields_change_and_others_do_not(make_node):
    node, seen = make_node(), []
    parameters.watch(node, 'oven', parameters.declare(node, 'oven', Oven), seen.append)

    def put(name, kind, value):
        return node.set_parameters([Parameter(f'oven.{name}', kind, value)])[0]

    assert put('heat', Type.INTEGER, 7).successful
    assert node.get_parameter('oven.heat').value == 7.0
    assert put('zones', Type.INTEGER_ARRAY, [1, 2]).successful
    assert put('zones', Type.DOUBLE_ARRAY, []).successful
    assert put('fan', Type.BOOL, True).successful
    assert seen == [
        Oven(heat=7.0), Oven(heat=7.0, zones=(1.0, 2.0)), Oven(heat=7.0),
        Oven(heat=7.0, fan=True),
    ]
    for name, kind, value in (
        ('heat', Type.DOUBLE, float('nan')), ('heat', Type.DOUBLE, 600.0),
        ('heat', Type.STRING, '5'), ('heat', Type.NOT_SET, None), ('racks', Type.INTEGER, 10),
        ('racks', Type.DOUBLE, 3.0), ('mode', Type.STRING, 'grill'),
        ('zones', Type.DOUBLE_ARRAY, [1.0, float('nan')]), ('names', Type.STRING_ARRAY, ['a']),
    ):
        result = put(name, kind, value)
        assert not result.successful and result.reason, (name, value)
    assert len(seen) == 4
    assert node.get_parameter('oven.heat').value == 7.0


def test_receiver_may_refuse_a_live_change_with_its_reason(make_node):
    node = make_node()

    def receive(oven: Oven) -> None:
        if oven.heat > 100.0:
            raise InvalidInput('the door is open; close it')

    parameters.watch(node, 'oven', parameters.declare(node, 'oven', Oven), receive)
    result = node.set_parameters([Parameter('oven.heat', Type.DOUBLE, 200.0)])[0]
    assert (result.successful, result.reason) == (False, 'the door is open; close it')
    assert node.get_parameter('oven.heat').value == 20.0
    # What was refused leaves no trace in the next change.
    assert node.set_parameters([Parameter('oven.racks', Type.INTEGER, 4)])[0].successful


def test_two_prefixes_are_watched_apart(make_node):
    node, seen = make_node(), []
    for prefix in ('one', 'two'):
        made = parameters.declare(node, prefix, Oven)
        parameters.watch(
            node, prefix, made, lambda oven, prefix=prefix: seen.append((prefix, oven.racks)))
    node.set_parameters([Parameter('two.racks', Type.INTEGER, 5)])
    assert seen == [('two', 5)]


def test_file_without_ros_reads_as_with_ros(make_node, tmp_path):
    text = (
        '    oven:\n      heat: 3e-4\n      zones: [1.0, 2.5]\n      names: [a]\n      fan: true\n'
        '    oven.racks: 4\n    ovens: {heat: 1.0}\n'
    )
    path = write(tmp_path / 'p.yaml', text)
    plain = Oven.from_mapping(files.read_parameter_file(path, 'oven'))
    assert plain == Oven(heat=3e-4, zones=(1.0, 2.5), names=('a',), fan=True, racks=4)
    assert parameters.declare(make_node(file=path), 'oven', Oven) == plain


@pytest.mark.parametrize(('text', 'sentence'), [
    ('a: [1', 'is no YAML'),
    ('just text', 'no mapping'),
    ('/**: {ros__parameters: 5}', 'no mapping'),
    ('/**: 5', 'no mapping'),
    ('!!python/object/apply:os.system ["touch gone"]', 'is no YAML'),
    ('a: &x [1]\nb: *x', 'alias'),
    ('a: ' + '[' * 5000, 'nests deeper'),
    ('#' * (files.SIZE_LIMIT + 1), 'at most'),
])
def test_unusable_files_are_refused(tmp_path, monkeypatch, text, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'p.yaml').write_text(text)
    with pytest.raises(InvalidInput, match=sentence):
        files.read_parameter_file('p.yaml', 'oven')
    assert not (tmp_path / 'gone').exists()


def test_missing_file_and_unknown_name_are_refused(tmp_path, monkeypatch):
    with pytest.raises(InvalidInput, match='cannot be read'):
        files.read_parameter_file(tmp_path / 'none.yaml', 'oven')
    monkeypatch.setattr(files, 'config_directory', lambda: tmp_path)
    (tmp_path / 'robots').mkdir()
    for name in ('kuka', 'abb'):
        (tmp_path / 'robots' / f'{name}.yaml').write_text('')
    assert files.parameter_file('robots', 'kuka') == tmp_path / 'robots' / 'kuka.yaml'
    assert files.parameter_file('robots', str(tmp_path / 'robots' / 'abb.yaml')).stem == 'abb'
    for name in ('fanuc', '../robots/kuka', ''):
        with pytest.raises(
            InvalidInput, match=f'no {re.escape(repr(name))} in robots; known are abb'
        ):
            files.parameter_file('robots', name)
    with pytest.raises(InvalidInput, match='there is no file'):
        files.parameter_file('robots', 'nowhere.yaml')


@pytest.mark.parametrize('package', [
    'rl_control', 'lib/python3.12/site-packages/rl_control', 'local/lib/python3/dist-packages/x'])
def test_config_is_found_in_source_tree_and_installed(tmp_path, package):
    """The layouts are made anew and looked at by another interpreter."""
    module = tmp_path / package / 'config' / 'files.py'
    module.parent.mkdir(parents=True)
    shutil.copy(files.__file__, module)
    config = tmp_path / 'config'
    if package == 'rl_control':
        (tmp_path / 'package.xml').write_text('')
    else:
        config = tmp_path / 'share' / 'rl_control' / 'config'
    config.mkdir(parents=True)
    code = (
        f'import runpy; print(runpy.run_path({str(module)!r})["config_directory"]())'
    )
    root = Path(files.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(config)
