# SPDX-License-Identifier: Apache-2.0
"""Check the installation and ROS 2; delete stale files and shared memory of dead processes."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
import json
import os
from pathlib import Path
import platform
import shutil

from rl_control.cli._finding import Finding, version

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
NEEDED = ('numpy', 'yaml')  # by the rest of what is checked
MIN_FREE_DISK = 2**30  # bytes


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
    findings = [*_machine(), *_modules()]
    if all(find_spec(module) for module in NEEDED):
        from rl_control.cli import _installation

        findings += _installation.findings(options.out, options.clean)
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


def _modules() -> Iterator[Finding]:
    for module, (distribution, purpose, remedy) in MODULES.items():
        if find_spec(module) is None:
            yield Finding(module, f'missing ({purpose})', remedy)
        else:
            yield Finding(module, version(distribution))
