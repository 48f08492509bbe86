# SPDX-License-Identifier: Apache-2.0
"""Scene: the rigid bodies around a simulated arm, the same in each physics engine."""

from collections.abc import Iterator
from dataclasses import dataclass
import math
from typing import Protocol

import numpy as np

from rl_control.common.errors import InvalidInput

SHAPES = {'box': 3, 'cylinder': 2, 'sphere': 1}  # and how many sizes each has


@dataclass(frozen=True)
class Fixture:
    """
    A body that does not move.

    `size` (m) is the three sides of a box, radius and length (along z) of a cylinder, or the
    radius of a sphere. `pose` (7,) is that of its centre in the base frame, m and quaternion
    x, y, z, w. `colour` is red, green, blue from 0 to 1. Raises InvalidInput for another shape
    or number of sizes.
    """

    name: str
    shape: str
    size: tuple[float, ...]
    pose: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    colour: tuple[float, float, float] = (0.6, 0.6, 0.6)

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise InvalidInput(
                f'shape of {self.name} is {self.shape!r}; known are {", ".join(SHAPES)}')
        self._require('size', self.size, SHAPES[self.shape], low=0.0)
        self._require('pose', self.pose, 7)
        if abs(math.hypot(*self.pose[3:]) - 1.0) > 1e-6:
            raise InvalidInput(
                f'orientation of {self.name} is {self.pose[3:]}; give a unit quaternion')
        self._require('colour', self.colour, 3)

    def _require(
        self, name: str, values: tuple[float, ...], count: int, low: float = -math.inf,
    ) -> None:
        """Raise InvalidInput unless `values` are `count` finite numbers above `low`."""
        if len(values) != count or not all(low < value < math.inf for value in values):
            above = '' if low == -math.inf else f' above {low:g}'
            raise InvalidInput(
                f'{name} of {self.name} is {tuple(values)}; give {count} numbers{above}')


@dataclass(frozen=True)
class Object(Fixture):
    """
    A body that moves, of evenly spread `mass` (kg).

    `friction` is the coefficient of sliding friction on fixtures and on the arm; between two
    objects it is the product of theirs.
    """

    mass: float = 0.1
    friction: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require('mass', (self.mass,), 1, low=0.0)
        if not 0.0 <= self.friction < math.inf:
            raise InvalidInput(
                f'friction of {self.name} is {self.friction}; give a number, 0 or above')


@dataclass(frozen=True)
class Scene:
    """Fixtures and objects with distinct names; raises InvalidInput for a name used twice."""

    fixtures: tuple[Fixture, ...] = ()
    objects: tuple[Object, ...] = ()

    def __post_init__(self) -> None:
        names = [body.name for body in self]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput(f'the scene has two bodies {name!r}; give each its own name')

    def __iter__(self) -> Iterator[Fixture]:
        return iter((*self.fixtures, *self.objects))


class SceneBodies(Protocol):
    """Bodies of a scene in one physics engine, by name."""

    def pose(self, name: str) -> np.ndarray:
        """Return the pose (7,) of an object's centre in the base frame."""

    def velocity(self, name: str) -> np.ndarray:
        """Return an object's velocity (6,) in the base frame: m/s of its centre, rad/s."""

    def place(self, name: str, pose: np.ndarray, velocity: np.ndarray | None = None) -> None:
        """Put an object at `pose` (7,) with `velocity` (6,), at rest without one."""

    def contact_force(self, one: str, other: str) -> float:
        """
        Return the normal force in N between two bodies after the last substep.

        Both are names of bodies of the scene or of links of the arm.
        """


NO_SCENE = Scene()
