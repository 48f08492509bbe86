# SPDX-License-Identifier: Apache-2.0
"""Settings and parameter files: accepted values, and sentences for rejected ones."""

from dataclasses import FrozenInstanceError, dataclass, fields
from importlib import import_module
import json
import math
from pathlib import Path

import pytest
import yaml

import rl_control
from rl_control.common.errors import InvalidInput
from rl_control.config.algorithm import AlgorithmSettings, SacSettings
from rl_control.config.base import Settings, defaults, kind_of, setting
from rl_control.config.files import (
    SIZE_LIMIT,
    config_directory,
    parameter_file,
    read_parameter_file,
)
from rl_control.config.randomization import RandomizationSettings
from rl_control.config.robot import RobotSettings
from rl_control.config.task import TaskSettings


@dataclass(frozen=True)
class Sample(Settings):
    """One field of each kind."""

    rate: float = setting(1.0, 'a rate', unit='Hz', low=0.5, high=2.0)
    count: int = setting(3, 'a count', low=1, high=9)
    flag: bool = setting(False, 'a flag')
    free: float = setting(0.0, 'any number')
    colour: str = setting('red', 'a choice', choices=('red', 'green'))
    limits: tuple[float, ...] = setting((1.0,), 'limits', low=0.0)
    sizes: tuple[int, ...] = setting((8,), 'sizes', low=1)
    names: tuple[str, ...] = setting((), 'names')


def test_defaults_and_good_values() -> None:
    assert Sample() == Sample.from_mapping({})
    sample = Sample(rate=0.5, count=9, flag=True, free=-math.inf, colour='green',
                    limits=(0.0, 7.5), sizes=[1, 2], names=['a'])
    assert sample.sizes == (1, 2) and sample.names == ('a',)
    assert Sample(rate=2.0, count=1).rate == 2.0  # both ends belong to the range
    assert hash(sample) == hash(Sample.from_mapping(sample.to_mapping()))


@dataclass(frozen=True)
class Flagged(Settings):
    """A second parent."""

    flag: bool = setting(True, 'another flag')
    depth: int = setting(1, 'a depth', low=1)


@dataclass(frozen=True)
@defaults(rate=2.0, depth=4, flag=False)
class Both(Sample, Flagged):
    """Other defaults than those of its parents; of two, the first describes a setting."""

    colour: str = setting('green', 'another choice', choices=('green',))


def test_inherited_settings_with_other_defaults_keep_all_else() -> None:
    both = Both()
    assert (both.rate, both.depth, both.flag, both.count) == (2.0, 4, False, 3)
    assert (Sample().rate, Flagged().depth, Flagged().flag) == (1.0, 1, True)
    described = {item.name: item.metadata['doc'] for item in fields(Both)}
    assert (described['rate'], described['depth'], described['flag']) == (
        'a rate', 'a depth', 'a flag')
    assert described['colour'] == 'another choice' and len(described) == len(fields(Sample)) + 1
    with pytest.raises(InvalidInput, match='setting depth is 0'):
        Both(depth=0)


def test_an_integer_is_a_double_but_not_the_reverse() -> None:
    sample = Sample(rate=2, limits=(1, 2.5), free=-3)
    assert (type(sample.rate), type(sample.free)) == (float, float)
    assert [type(value) for value in sample.limits] == [float, float]
    with pytest.raises(InvalidInput, match=r'^setting count is 3\.0; it must be of type int$'):
        Sample(count=3.0)


@pytest.mark.parametrize(('values', 'sentence'), [
    ({'rate': 0.4999}, 'setting rate is 0.4999; give a number from 0.5 to 2.0 Hz'),
    ({'rate': 2.0001}, 'setting rate is 2.0001; give a number from 0.5 to 2.0 Hz'),
    ({'rate': 3}, 'setting rate is 3.0; give a number from 0.5 to 2.0 Hz'),
    ({'rate': math.inf}, 'setting rate is inf; give a number from 0.5 to 2.0 Hz'),
    ({'rate': math.nan}, 'setting rate is NaN; give a number from 0.5 to 2.0 Hz'),
    ({'free': math.nan}, 'setting free is NaN; give a number from -inf to inf'),
    ({'rate': True}, 'setting rate is True; it must be of type float'),
    ({'rate': '1.0'}, "setting rate is '1.0'; it must be of type float"),
    ({'rate': None}, 'setting rate is None; it must be of type float'),
    ({'count': 0}, 'setting count is 0; give a number from 1 to 9'),
    ({'count': 10}, 'setting count is 10; give a number from 1 to 9'),
    ({'count': True}, 'setting count is True; it must be of type int'),
    ({'flag': 1}, 'setting flag is 1; it must be of type bool'),
    ({'colour': 'blue'}, "setting colour is 'blue'; known are red, green"),
    ({'colour': 1}, 'setting colour is 1; it must be of type str'),
    ({'limits': 1.0}, 'setting limits is 1.0; give a list'),
    ({'limits': '12'}, "setting limits is '12'; give a list"),
    ({'limits': [1.0, -0.1]}, 'setting limits is -0.1; give a number from 0.0 to inf'),
    ({'limits': [1.0, math.nan]}, 'setting limits is NaN; give a number from 0.0 to inf'),
    ({'limits': [[1.0]]}, 'setting limits is [1.0]; it must be of type float'),
    ({'sizes': [8, 0]}, 'setting sizes is 0; give a number from 1 to inf'),
    ({'sizes': [8.0]}, 'setting sizes is 8.0; it must be of type int'),
    ({'names': [1]}, 'setting names is 1; it must be of type str'),
    ({'speed': 1.0}, "Sample has no setting 'speed'; known are colour, count, flag, free, "
     'limits, names, rate, sizes'),
], ids=str)
def test_bad_values_are_rejected_in_one_sentence(
    values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        Sample.from_mapping(values)
    assert str(refused.value) == sentence


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Sample().rate = 1.5


def test_the_type_of_each_field() -> None:
    assert kind_of(Sample, 'rate') is float
    assert kind_of(Sample, 'sizes') == tuple[int, ...]


def all_settings() -> list[type[Settings]]:
    package = Path(rl_control.__file__).parent
    for path in package.rglob('*.py'):
        if '(Settings)' in path.read_text(encoding='utf-8'):
            import_module('.'.join(path.relative_to(package.parent).with_suffix('').parts))

    def below(kind: type[Settings]) -> list[type[Settings]]:
        return [kind, *(leaf for part in kind.__subclasses__() for leaf in below(part))]

    return [kind for kind in below(Settings) if kind.__module__.startswith('rl_control.')]


@pytest.mark.parametrize('kind', all_settings(), ids=lambda kind: kind.__name__)
def test_each_field_is_documented(kind: type[Settings]) -> None:
    for item in fields(kind):
        assert item.metadata['doc'], item.name
        low, high, choices = (item.metadata[key] for key in ('low', 'high', 'choices'))
        assert low is None or high is None or low < high, item.name
        scalar = getattr(kind_of(kind, item.name), '__args__', (kind_of(kind, item.name),))[0]
        assert scalar in (bool, int, float, str), item.name
        assert not choices or scalar is str, item.name
        if scalar in (bool, str):
            assert low is None and high is None, item.name


def test_settings_that_depend_on_each_other() -> None:
    with pytest.raises(
        InvalidInput, match='replay_capacity is 10, less than learning_starts 1000'
    ):
        AlgorithmSettings(replay_capacity=10)
    with pytest.raises(InvalidInput, match=r'^setting algorithm.hidden_sizes is empty; set it'):
        SacSettings(hidden_sizes=())
    with pytest.raises(InvalidInput, match=r'^setting robot.urdf is empty; set it'):
        RobotSettings(name='arm')


@pytest.mark.parametrize('kind', ['robots', 'tasks', 'randomization'])
def test_an_unknown_name_is_rejected_with_the_known_ones(kind: str) -> None:
    known = sorted(path.stem for path in (config_directory() / kind).glob('*.yaml'))
    assert known
    with pytest.raises(InvalidInput) as refused:
        parameter_file(kind, 'none')
    assert f"no 'none' in {kind}; known are {', '.join(known)}, or" in str(refused.value)
    for name in ('', '..', '../tasks/reach', 'none.yaml', '/none.yml'):
        with pytest.raises(InvalidInput):
            parameter_file(kind, name)


@pytest.mark.parametrize('path', sorted(config_directory().rglob('*.yaml')), ids=lambda p: p.stem)
def test_the_packaged_files_are_read_in_full(path: Path) -> None:
    prefix = path.parent.name.removesuffix('s')
    kind = {'robot': RobotSettings, 'task': TaskSettings,
            'randomization': RandomizationSettings}[prefix]
    values = read_parameter_file(path, prefix)
    written = yaml.safe_load(path.read_text())['/**']['ros__parameters']
    assert list(written) == [prefix, *['algorithm'] * (prefix == 'task')]
    assert set(values) == set(written[prefix])
    settings = kind.from_mapping(values)
    if prefix in ('robot', 'task'):
        assert settings.name == path.stem


@pytest.mark.parametrize('task', sorted((config_directory() / 'tasks').glob('*.yaml')),
                         ids=lambda path: path.stem)
def test_what_is_tuned_for_an_arm_s_task_stays_what_it_was(task: Path) -> None:
    """The whole settings, so that another default of a class changes nothing here either."""
    algorithms = import_module('rl_control.learning.algorithms')
    stored = json.loads((Path(__file__).parents[1] / 'stored' / 'reach_settings.json').read_text())
    given = read_parameter_file(task, 'algorithm')
    assert {name.partition('.')[0] for name in given} == stored.keys() == (
        algorithms.ALGORITHMS.keys())
    for name, before in stored.items():
        now = algorithms.settings_of(name).from_mapping(algorithms.values_of(name, given))
        assert now.to_mapping() | before == now.to_mapping()


def test_a_file_of_several_sections(tmp_path: Path) -> None:
    path = tmp_path / 'arm.yaml'
    path.write_text('/**:\n  ros__parameters:\n    arm: {size: 3e-4, name: a, deep: {er: 1}}\n'
                    '    armour: {size: 2}\n    arm.colour: red\n'
                    '/collector:\n  ros__parameters: {arm: {name: b}}\n')
    assert read_parameter_file(path, 'arm') == {
        'size': 0.0003, 'name': 'b', 'deep.er': 1, 'colour': 'red'}
    assert read_parameter_file(str(path), 'hand') == {}


@pytest.mark.parametrize(('text', 'words'), [
    ('', 'the file is no mapping'),
    ('- 1', 'the file is no mapping'),
    ('a: [1', 'is no YAML'),
    ('a: 1\n---\nb: 2', 'is no YAML'),
    ('a: !!python/object/apply:os.getcwd []', 'is no YAML'),
    ('/**: 5', 'section /** is no mapping'),
    ('/**: {parameters: {a: 1}}', 'ros__parameters of /** is no mapping'),
    ('/**: {ros__parameters: &a {b: *a}}', 'has a YAML alias'),
    ('[' * 1500, 'nests deeper'),
    ('#' * (SIZE_LIMIT + 1), f'has {SIZE_LIMIT + 1} bytes'),
], ids=range(10))
def test_a_malformed_file_is_rejected(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / 'bad.yaml'
    path.write_text(text)
    with pytest.raises(InvalidInput) as refused:
        read_parameter_file(path, 'robot')
    assert words in str(refused.value) and str(path) in str(refused.value)
    assert '\n' not in str(refused.value)


def test_an_unreadable_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / 'binary.yaml').write_bytes(b'\xff\xfe\x00')
    for name in ('binary.yaml', 'none.yaml', '.'):
        with pytest.raises(InvalidInput, match='cannot be read'):
            read_parameter_file(tmp_path / name, 'robot')
