# SPDX-License-Identifier: Apache-2.0
"""Check the installation and ROS 2; delete stale files and shared memory of dead processes."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
import json
import os
from pathlib import Path
import platform
import shutil

from rl_control.bringup.run_graph import LAST_DOMAIN, NO_ROS
from rl_control.common.stale_files import dead_compilations, dead_files, dead_segments, remove
from rl_control.config.files import config_directory
from rl_control.robots import engines
from rl_control.transport.spill_file import undelivered_rows

# Import name: (distribution, purpose, command that installs it).
MODULES = {
    'numpy': ('numpy', 'everything', 'pip install numpy'),
    'yaml': ('PyYAML', 'parameter files', 'pip install PyYAML'),
    'onnx': ('onnx', 'checking policies', 'pip install onnx'),
    'onnxruntime': ('onnxruntime', 'running policies', 'pip install onnxruntime'),
    'mcap': ('mcap', 'recording', 'pip install mcap'),
    'rosbags': ('rosbags', 'reading bags', 'pip install rosbags'),
    'matplotlib': ('matplotlib', 'reports', 'pip install matplotlib'),
    'PIL': ('pillow', 'reports', 'pip install pillow'),
    'rich': ('rich', 'the status of a training', 'pip install rich'),
    'gymnasium': ('gymnasium', 'Gymnasium environments', 'pip install gymnasium'),
    'torch': ('torch', 'learning', 'pip install torch==2.13.0'),
    'safetensors': ('safetensors', 'checkpoints', 'pip install safetensors'),
    'onnxscript': ('onnxscript', 'export', 'pip install onnxscript'),
}
DISTRIBUTIONS = {'pybullet': 'pybullet', 'mujoco': 'mujoco-core'}
MIN_FREE_DISK = 2**30  # bytes


@dataclass(frozen=True)
class Finding:
    """One line of the report; `remedy` is empty if there is no problem."""

    what: str
    value: str
    remedy: str = ''


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        'out', nargs='*', type=Path, help='directories of runs to check for stale files')
    parser.add_argument('--json', action='store_true', help='print JSON')
    parser.add_argument(
        '--clean', action='store_true',
        help='delete stale files and shared memory of dead processes')


def run(options: argparse.Namespace) -> int:
    """Print the findings; return 1 if there is a problem."""
    findings = [*_machine(), *_modules(), *_simulators(), *_ros(),
                *_leftovers(options.out, options.clean)]
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            mark, remedy = ('!', f'  ->  {finding.remedy}') if finding.remedy else (' ', '')
            print(f'{mark} {finding.what}: {finding.value}{remedy}')
    return int(any(finding.remedy for finding in findings))


def _machine() -> Iterator[Finding]:
    yield Finding('python', platform.python_version())
    yield Finding('cores', str(len(os.sched_getaffinity(0))))
    free = shutil.disk_usage(Path.cwd()).free
    yield Finding('free disk', f'{free / 2**30:.1f} GiB',
                  '' if free > MIN_FREE_DISK else 'make space before recording or training')
    yield Finding('parameter files', str(config_directory()))


def _modules() -> Iterator[Finding]:
    for module, (distribution, purpose, remedy) in MODULES.items():
        if find_spec(module) is None:
            yield Finding(module, f'missing ({purpose})', remedy)
        else:
            yield Finding(module, _version(distribution))


def _simulators() -> Iterator[Finding]:
    """Find the physics engines; one is enough, and both draw without OpenGL."""
    here = engines.installed()
    for engine in engines.ENGINES:
        yield Finding(engine, _version(DISTRIBUTIONS[engine]) if engine in here else 'none')
    if here:
        yield Finding('simulator', f'auto is {here[0]}')
    else:
        yield Finding('simulator', 'missing (simulation)', engines.REMEDY)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return 'present'


def _ros() -> Iterator[Finding]:
    if find_spec('rclpy') is None:
        yield Finding('rclpy', 'missing', NO_ROS)
        return
    import rclpy
    from rclpy.utilities import get_rmw_implementation_identifier

    yield Finding('rclpy', _version('rclpy'))
    context = rclpy.Context()
    rclpy.init(args=[], context=context, signal_handler_options=rclpy.SignalHandlerOptions.NO)
    try:
        yield Finding('rmw', get_rmw_implementation_identifier())
        yield Finding('ROS clock', 'system time, or /clock for nodes with use_sim_time')
    finally:
        context.try_shutdown()
    yield _domain()
    discovery = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '')
    yield Finding('ROS_AUTOMATIC_DISCOVERY_RANGE', discovery or 'not set: the subnet; '
                  'LOCALHOST for graphs of rl-control')
    yield Finding('ros2 command', shutil.which('ros2') or 'none; use rl-control launch')


def _domain() -> Finding:
    domain = os.environ.get('ROS_DOMAIN_ID', '')
    usable = domain.isdecimal() and int(domain) <= LAST_DOMAIN
    return Finding(
        'ROS_DOMAIN_ID', domain or 'not set: 0; a free one for graphs of rl-control',
        '' if usable or not domain else f'set a number from 0 to {LAST_DOMAIN}')


def _leftovers(outs: list[Path], clean: bool) -> Iterator[Finding]:
    """Yield stale files and shared memory of dead processes; delete them if `clean`."""
    segments = dead_segments()
    size = sum(segment.size for segment in segments) / 2**20
    if clean:
        removed = remove(path for segment in segments for path in segment.files)
        yield Finding(
            'shared memory of dead processes', f'{removed} files removed, {size:.0f} MiB')
    else:
        yield Finding(
            'shared memory of dead processes', f'{len(segments)} segments, {size:.0f} MiB',
            'rl-control doctor --clean removes it' if segments else '')
    if folders := dead_compilations():
        yield Finding(
            f'unfinished compilations in {folders[0].parent}',
            str(remove(folders) if clean else len(folders)),
            '' if clean else 'rl-control doctor --clean removes them')
    for out in outs:
        if dead := dead_files(out):
            yield Finding(
                f'unfinished files in {out}', str(remove(dead) if clean else len(dead)),
                '' if clean else f'rl-control doctor {out} --clean removes them')
        for path, collector, rows in undelivered_rows(out):
            if rows:
                yield Finding(
                    f'rows that {collector} did not deliver', f'{rows} in {path}',
                    f'start {collector} with out {out} again, or remove the file')
            else:
                yield Finding(f'empty spill {path}', 'it has no rows',
                              '' if clean and remove([path]) else 'remove it')
