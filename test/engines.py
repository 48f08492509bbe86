# SPDX-License-Identifier: Apache-2.0
"""Physics engines for tests: each one that is installed, and both beside each other."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from rl_control.robots.engines import ENGINES, make_simulator
from rl_control.robots.held_joints import NOTHING_HELD
from rl_control.robots.robot import Simulator

EACH = pytest.mark.parametrize('engine', ENGINES)
# A bob on a rod about x; the joint has no effort limit, hence swings freely when not driven.
PENDULUM = '''<robot name="pendulum">
  <link name="base"/>
  <joint name="hinge" type="continuous">
    <parent link="base"/><child link="bob"/><origin xyz="0 0 1"/><axis xyz="1 0 0"/>
  </joint>
  <link name="bob">
    <inertial>
      <origin xyz="0 0 -0.4"/><mass value="2"/>
      <inertia ixx="0.03" ixy="0" ixz="0" iyy="0.02" iyz="0" izz="0.01"/>
    </inertial>
  </link>
</robot>'''


def require(engine: str) -> None:
    """Skip the test where `engine` is not installed."""
    pytest.importorskip(engine)


def made(
    engine: str, urdf: Path, joint_names: tuple[str, ...], period: float,
    held: Mapping[str, float] = NOTHING_HELD,
) -> Simulator:
    """Return an arm of `engine`, or skip the test where it is not installed."""
    require(engine)
    return make_simulator(engine, urdf, joint_names, period, held=held)
