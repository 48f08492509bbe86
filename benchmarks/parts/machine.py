# SPDX-License-Identifier: Apache-2.0
"""The machine and the versions of a measurement."""

from importlib import metadata
import os
from pathlib import Path
import platform

import rl_control

DISTRIBUTIONS = (
    'numpy', 'onnxruntime', 'torch', 'pybullet', 'mujoco-core', 'ros-rclpy', 'ros-fastdds',
    'stable-baselines3', 'sbx-rl', 'jax', 'torchrl', 'cpprb', 'panda-gym')


def machine() -> dict[str, str | int]:
    """
    Return processor, usable cores and versions of installed packages.

    `load` is the load average of the last minute.
    """
    return {
        'processor': _processor(),
        'cores': len(os.sched_getaffinity(0)),
        'load': f'{os.getloadavg()[0]:.1f}',
        'system': platform.platform(terse=True),
        'python': platform.python_version(),
        'rl_control': rl_control.__version__,
        **{name: version for name in DISTRIBUTIONS if (version := _version(name))},
    }


def _processor() -> str:
    """Return the processor's model with its vector instructions, on which speed depends."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.processor()
    said = {line.partition(':')[0].strip(): line.partition(':')[2].strip() for line in lines}
    flags = said.get('flags', '').split()
    vectors = [name for name in ('avx2', 'avx512f') if name in flags]
    return ' '.join([said.get('model name', platform.machine()), *vectors])


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ''
