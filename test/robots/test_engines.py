# SPDX-License-Identifier: Apache-2.0
"""Engines by name: what `auto` takes, and what is said where one is missing."""

import pytest

from rl_control.common.errors import InvalidInput
from rl_control.robots import engines


def test_auto_takes_the_first_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {'pybullet', 'mujoco'}
    monkeypatch.setattr(engines, 'find_spec', lambda name: name if name in present else None)
    assert engines.installed() == ['pybullet', 'mujoco']
    assert [engines.resolve(name) for name in ('auto', 'pybullet', 'mujoco')] == [
        'pybullet', 'pybullet', 'mujoco']
    present.remove('pybullet')
    assert engines.resolve('auto') == 'mujoco'
    with pytest.raises(InvalidInput, match=r'^simulator pybullet is not installed; .*mujoco'):
        engines.resolve('pybullet')
    present.clear()
    with pytest.raises(InvalidInput, match='no physics engine is installed; pip install'):
        engines.resolve('auto')


def test_others_are_not_known() -> None:
    with pytest.raises(InvalidInput, match="'bullet' is not known; known are auto, pybullet, mu"):
        engines.resolve('bullet')
