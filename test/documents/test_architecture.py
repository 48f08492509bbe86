# SPDX-License-Identifier: Apache-2.0
"""Who may import whom, what occurs nowhere, and lists that could drift from one another."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

import rl_control

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / 'rl_control'

# Rooms that know torch, and rooms that know ROS; all others know neither.
TORCH_ROOMS = ('learning', 'offline')
ROS_ROOMS = (
    'bringup.launch_description', 'bringup.run_graph', 'cli._installation', 'nodes', 'ros')
BOTH = ('nodes.learner', 'nodes.offline')  # where the two meet, by way of the trainer
TORCH = {'onnxscript', 'torch'}
ROS = {'launch', 'launch_ros', 'rclpy'}
MESSAGES = re.compile(r'\w+_(msgs|srvs|interfaces)')
# What rosdep brings under another name; all else comes by pip.
SYSTEM = {'matplotlib': 'python3-matplotlib', 'numpy': 'python3-numpy', 'PIL': 'python3-pil',
          'yaml': 'python3-yaml'}
BROUGHT = {'google': 'onnx', 'lz4': 'mcap', 'zstandard': 'mcap'}  # by what is pinned
# A requirement with its version, perhaps for some versions of Python alone.
PINNED = r'^([\w-]+)(?:\[\w+\])?==([\w.]+)(?:; [^#\n]+)?(?: *#.*)?$'
ENGINES = {'mujoco', 'pybullet', 'pybullet_data'}
OPTIONAL = {'h5py', 'minari', 'tensorboard'}  # asked for when they are used


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob('*.py'))}


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text(encoding='utf-8'))


def statements(node: ast.AST, at_start: bool) -> Iterator[ast.stmt]:
    """Yield the imports below `node`; with `at_start` those alone that importing it runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == 'TYPE_CHECKING':
            continue
        if at_start and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        yield from statements(child, at_start)


@cache
def imports(name: str, at_start: bool = False) -> frozenset[str]:
    """Return the full names that a module imports, of modules and of what is in them."""
    found = set()
    for statement in statements(tree(name), at_start):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        else:
            assert statement.level == 0, f'{name} has a relative import'
            found |= {f'{statement.module}.{alias.name}' for alias in statement.names}
    return frozenset(found)


def ours(found: frozenset[str]) -> set[str]:
    """Return our modules among imported names, without the package itself."""
    names = {name.removeprefix('rl_control.') for name in found if name.startswith('rl_control.')}
    modules = {name if name in FILES else name.rpartition('.')[0] for name in names}
    return modules & set(FILES) - {''}


def foreign(found: frozenset[str]) -> set[str]:
    """Return the top packages among imported names that are neither ours nor Python's own."""
    tops = {name.removeprefix('safetensors.').partition('.')[0]
            if name.startswith('safetensors.torch') else name.partition('.')[0] for name in found}
    return tops - {'rl_control'} - set(sys.stdlib_module_names)


def is_ros(top: str) -> bool:
    return top in ROS or MESSAGES.fullmatch(top) is not None


def within(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f'{room}.') for room in rooms)


@cache
def reached(name: str) -> frozenset[str]:
    """Return all of our modules that importing `name` runs."""
    found, new = {name}, {name}
    while new:
        new = {part for module in new for part in ours(imports(module, at_start=True))}
        # A package's own module is run before what is in it.
        new |= {part.rpartition('.')[0] for part in new} - {''}
        new -= found
        found |= new
    return frozenset(found)


@pytest.mark.parametrize('name', FILES)
def test_each_module_knows_what_its_room_may_know(name: str) -> None:
    named = foreign(imports(name))
    if not within(name, TORCH_ROOMS):
        assert not named & TORCH
    if not within(name, ROS_ROOMS):
        assert not {top for top in named if is_ros(top)}
    run = {top for part in reached(name) for top in foreign(imports(part, at_start=True))}
    if not within(name, TORCH_ROOMS + BOTH):
        assert not run & TORCH, f'{name} imports torch by way of another module'
    if not within(name, ROS_ROOMS):
        found = {top for top in run if is_ros(top)}
        assert not found, f'{name} imports {found} by way of another module'


def test_physics_engines_are_imported_in_robots_alone() -> None:
    naming = {name for name in FILES if foreign(imports(name)) & ENGINES}
    assert naming and all(within(name, ('robots',)) for name in naming), naming


def test_messages_are_named_beside_the_codec_alone() -> None:
    naming = {name: {top for top in foreign(imports(name)) if MESSAGES.fullmatch(top)}
              for name in FILES}
    assert {name for name, found in naming.items() if found} == {
        'ros.codec', 'ros.joint_messages', 'ros.markers', 'ros.parameters', 'ros.policy_messages',
        'ros.stamps', 'ros.transforms'}
    for name, parts in ((name, ours(imports(name))) for name in FILES):
        if name.partition('.')[0] != 'ros':
            assert not parts & {'ros.joint_messages', 'ros.policy_messages', 'ros.stamps'}, name
    assert naming['ros.parameters'] == {'rcl_interfaces'}


def test_nodes_do_not_import_each_other_and_nobody_imports_them() -> None:
    nodes = {name for name in FILES if name.startswith('nodes.') and any(
        isinstance(part, ast.FunctionDef) and part.name == 'main' for part in tree(name).body)}
    assert len(nodes) >= 7
    for name in FILES:
        assert not ours(imports(name)) & nodes, name
        if not name.startswith('nodes'):
            assert not any(within(part, ('nodes',)) for part in ours(imports(name))), name
        if not within(name, ('cli', '__main__')):
            assert not any(within(part, ('cli',)) for part in ours(imports(name))), name


def room_of(name: str) -> str:
    return name.partition('.')[0]


def test_rooms_import_each_other_in_one_direction() -> None:
    below: dict[str, set[str]] = {room_of(name): set() for name in FILES}
    for name in FILES:
        below[room_of(name)] |= {room_of(part) for part in ours(imports(name))}
    for room, parts in below.items():
        parts.discard(room)
    while leaves := [room for room, parts in below.items() if not parts]:
        for room in leaves:
            del below[room]
        for parts in below.values():
            parts -= set(leaves)
    assert not below, f'these rooms import each other in a circle: {below}'


def test_modules_import_each_other_in_one_direction() -> None:
    below = {name: ours(imports(name)) - {name} for name in FILES}
    while leaves := [name for name, parts in below.items() if not parts]:
        for name in leaves:
            del below[name]
        for parts in below.values():
            parts -= set(leaves)
    assert not below, f'these modules import each other in a circle: {sorted(below)}'


def test_the_package_opens_on_few_rooms_of_short_files() -> None:
    top = [path for path in PACKAGE.iterdir() if path.name != '__pycache__']
    assert len(top) <= 18
    assert {path.name for path in top if path.is_file()} == {'__init__.py', '__main__.py'}
    for name, path in FILES.items():
        assert len(path.read_text(encoding='utf-8').splitlines()) <= 300, name


@pytest.mark.parametrize(('modules', 'absent'), [
    ('policies.onnx_policy environments.arm_model control.policy_controller robots.limits '
     'robots.kinematics common.episode collection.collector transport.outbox '
     'environments.tasks.reach environments.make bringup.graphs cli cli.doctor cli.launch',
     'torch rclpy pybullet mujoco'),
    ('nodes.policy nodes.collector nodes.command_gate nodes.monitor', 'torch'),
    ('learning.algorithms.sac learning.export learning.trainer learning.checkpoint', 'rclpy'),
], ids=['neither', 'no torch on the arm', 'no ROS in learning'])
def test_what_importing_brings(modules: str, absent: str) -> None:
    code = '\n'.join([
        'import sys', *(f'import rl_control.{module}' for module in modules.split()),
        f'print(*({set(absent.split())!r} & set(sys.modules)))'])
    ended = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                           timeout=100, cwd=ROOT, check=True)
    assert ended.stdout.split() == []


SOURCES = sorted(
    path for folder in ('benchmarks', 'config', 'launch', 'rl_control', 'test')
    for path in (ROOT / folder).rglob('*')
    if path.suffix in ('.py', '.yaml') and 'stored' not in path.parts)
SOURCES += [path for path in (ROOT / 'setup.py', ROOT / 'Makefile', ROOT / '.ci' / 'run')
            if path.is_file()]


def test_each_file_has_its_licence() -> None:
    for path in SOURCES:
        lines = path.read_text(encoding='utf-8').splitlines()
        first = lines[1] if lines[0].startswith('#!') else lines[0]
        assert first == '# SPDX-License-Identifier: Apache-2.0', path


def test_nothing_that_runs_what_it_reads() -> None:
    words = re.compile(
        r'\b(un)?pickle|\bmarshal\b|\bshelve\b|yaml\.(unsafe_|full_)?load|'
        r'(?<!safetensors\.)\btorch\.load|allow_pickle=True')
    for path in SOURCES:
        if path.suffix != '.py' or path == Path(__file__):
            continue
        text = path.read_text(encoding='utf-8')
        assert not words.search(text), path
        called = {ast.unparse(node.func) for node in ast.walk(ast.parse(text))
                  if isinstance(node, ast.Call)}
        assert not called & {'eval', 'exec', 'compile', 'os.system'}, path


def test_package_xml_names_what_is_imported() -> None:
    imported = {top for name in FILES for top in foreign(imports(name))}
    needed = {SYSTEM.get(top, top) for top in imported if is_ros(top) or top in SYSTEM}
    package = ElementTree.parse(ROOT / 'package.xml')
    assert {element.text for element in package.iter('exec_depend')} == needed


@pytest.mark.parametrize('file', ['requirements.txt', 'requirements-ros.txt'])
def test_the_requirements_name_what_else_is_imported(file: str) -> None:
    lines = re.findall(PINNED, (ROOT / file).read_text(), re.M)
    pinned = {name.lower(): version for name, version in lines}
    distributions = packages_distributions()
    for top in {top for name in FILES for top in foreign(imports(name))}:
        if is_ros(top) or (top in SYSTEM and file == 'requirements-ros.txt'):
            continue
        names = {name.lower() for name in distributions.get(top, [top])}
        if top in BROUGHT:
            brought = ' '.join(requires(BROUGHT[top]) or ()).lower()
            assert BROUGHT[top] in pinned and any(name in brought for name in names), top
        elif top not in OPTIONAL:
            assert names & set(pinned), f'{file} lacks {top}'
    every = dict(re.findall(PINNED, (ROOT / 'requirements.txt').read_text(), re.M))
    assert {name: version for name, version in lines if every.get(name) != version} == {}


def test_one_version() -> None:
    package = ElementTree.parse(ROOT / 'package.xml').getroot()
    (setup,) = re.findall(r"version='([\d.]+)'", (ROOT / 'setup.py').read_text())
    assert package.findtext('version') == setup == rl_control.__version__
    (newest, *_) = re.findall(r'^(\d+\.\d+\.\d+)', (ROOT / 'CHANGELOG.rst').read_text(), re.M)
    assert newest == setup
