# SPDX-License-Identifier: Apache-2.0
"""Executables of setup.py: one for each node, and the names of before as aliases."""

from pathlib import Path
import runpy

import pytest
import setuptools

ROOT = Path(__file__).parents[2]


@pytest.fixture
def executables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return what setup.py hands to setuptools: the target of each executable, by its name."""
    given: dict[str, dict[str, list[str]]] = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(setuptools, 'setup', lambda **keywords: given.update(keywords))
    runpy.run_path(str(ROOT / 'setup.py'))
    return dict(script.split(' = ') for script in given['entry_points']['console_scripts'])


def test_each_node_has_an_executable(executables: dict[str, str]) -> None:
    nodes = {path.stem for path in (ROOT / 'rl_control' / 'nodes').glob('*.py')
             if 'def main(' in path.read_text(encoding='utf-8')}
    assert len(nodes) > 10
    targets = {node: f'rl_control.nodes.{node}:main' for node in nodes}
    assert executables == {
        **targets, 'rl-control': 'rl_control.cli:main', 'examiner': targets['evaluator']}
