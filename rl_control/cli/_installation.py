# SPDX-License-Identifier: Apache-2.0
"""Installation checks of `rl-control doctor` beyond packages: engines, ROS 2, stale files."""

from collections.abc import Iterator
from importlib.util import find_spec
import os
from pathlib import Path
import shutil

from rl_control.bringup.run_graph import LAST_DOMAIN, NO_ROS
from rl_control.cli._finding import Finding, version
from rl_control.common.stale_files import dead_compilations, dead_files, dead_segments, remove
from rl_control.config.files import config_directory
from rl_control.robots import engines
from rl_control.transport.spill_file import undelivered_rows

DISTRIBUTIONS = {'pybullet': 'pybullet', 'mujoco': 'mujoco-core'}


def findings(outs: list[Path], clean: bool) -> Iterator[Finding]:
    """Yield what is found of parameter files, engines, ROS 2 and stale files below `outs`."""
    yield Finding('parameter files', str(config_directory()))
    yield from _simulators()
    yield from _ros()
    yield from _leftovers(outs, clean)


def _simulators() -> Iterator[Finding]:
    """Find the physics engines; one is enough, and both draw without OpenGL."""
    here = engines.installed()
    for engine in engines.ENGINES:
        yield Finding(engine, version(DISTRIBUTIONS[engine]) if engine in here else 'none')
    if here:
        yield Finding('simulator', f'auto is {here[0]}')
    else:
        yield Finding('simulator', 'missing (simulation)', engines.REMEDY)


def _ros() -> Iterator[Finding]:
    if find_spec('rclpy') is None:
        yield Finding('rclpy', 'missing', NO_ROS)
        return
    import rclpy
    from rclpy.utilities import get_rmw_implementation_identifier

    yield Finding('rclpy', version('rclpy'))
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
