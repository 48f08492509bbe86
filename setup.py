# SPDX-License-Identifier: Apache-2.0
"""Build description for ament_python and for pip alike."""

from pathlib import Path
import re

from setuptools import find_packages, setup

PACKAGE = 'rl_control'
NODES = ('learner', 'broadcaster', 'collector', 'policy', 'command_gate', 'simulator', 'monitor',
         'evaluator', 'recorder', 'scene', 'watcher', 'offline')
ALIASES = {'examiner': 'evaluator'}  # deprecated in 0.1.0, to be removed in the next release


def files(folder: str) -> list[tuple[str, list[str]]]:
    """Return the data files below `folder`, to be installed under share/."""
    found: dict[str, list[str]] = {}
    for path in sorted(Path(folder).rglob('*')):
        if path.suffix in {'.yaml', '.py', '.xml', '.urdf'}:
            found.setdefault(f'share/{PACKAGE}/{path.parent}', []).append(str(path))
    return list(found.items())


def pinned(path: str) -> list[str]:
    """Return the requirements in the file `path`."""
    return [line for line in Path(path).read_text().splitlines() if not line.startswith('#')]


def names(path: str, without: tuple[str, ...]) -> list[str]:
    """Return what the file `path` requires, but for some prefixes, without the versions."""
    return [re.split('[=;]', line)[0].strip() for line in pinned(path)
            if line.strip() and not line.startswith(without)]


setup(
    name=PACKAGE,
    version='0.1.0',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        *files('config'),
        *files('launch'),
    ],
    # Without versions: a ROS machine has some of these from its system (rosdep).
    install_requires=['setuptools', *names('requirements.txt', without=('ros-', 'pybullet'))],
    extras_require={
        'ros': [line for line in pinned('requirements.txt') if line.startswith('ros-')],
        'bench': pinned('requirements-bench.txt'),
        'mujoco': ['mujoco-core[rendering]==4.0.0'],  # with a window
        'pybullet': ['pybullet==3.2.7'],
        'tensorboard': ['tensorboard'],
        'minari': ['minari[hdf5]'],  # rl-control bag minari, from-minari
    },
    zip_safe=False,
    python_requires='>=3.11',
    maintainer='rl_control maintainers',
    maintainer_email='maintainers@rl-control.dev',
    description='Train a robot arm policy with reinforcement learning and run it on the arm.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'rl-control = rl_control.cli:main',
            *(f'{node} = rl_control.nodes.{node}:main' for node in NODES),
            *(f'{alias} = rl_control.nodes.{node}:main' for alias, node in ALIASES.items()),
        ],
    },
)
