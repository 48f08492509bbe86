# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics and Jacobian of an arm from its URDF, without a simulator."""

from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from xml.etree import ElementTree

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.config.files import config_directory

PYBULLET_PREFIX = 'pybullet_data:'
CONFIG_PREFIX = 'config:'
URDF_SIZE_LIMIT = 16 * 1024 * 1024  # bytes
XACRO = 'ros.org/wiki/xacro}'  # end of the namespace of its elements
DRIVABLE_TYPES = ('revolute', 'continuous', 'prismatic')


def urdf_path(urdf: str) -> Path:
    """
    Return the file of the setting `urdf`; raise InvalidInput if it is missing.

    `pybullet_data:PATH` is a file that PyBullet ships, `config:PATH` one in config/ here.
    """
    if urdf.startswith(CONFIG_PREFIX):
        path = config_directory() / urdf.removeprefix(CONFIG_PREFIX)
    elif urdf.startswith(PYBULLET_PREFIX):
        try:
            import pybullet_data  # only for the arms that PyBullet ships
        except ImportError as error:
            raise InvalidInput(
                f'URDF {urdf} needs the package pybullet_data, which is not installed; '
                'install pybullet or give the path of a URDF'
            ) from error
        path = Path(pybullet_data.getDataPath()) / urdf.removeprefix(PYBULLET_PREFIX)
    else:
        path = Path(urdf).expanduser()
    if not path.is_file():
        raise InvalidInput(f'URDF {urdf} is not a file (looked for {path}); give the path of one')
    return path


class Kinematics:
    """
    The kinematic chain from the base to one link, as precomputed constant matrices.

    `urdf` is the file and `joint_names` the driven joints, in the order of `q`. `position_low`,
    `position_high` (n,) rad or m (infinite for continuous joints) and `velocity_limit` (n,)
    rad/s or m/s (infinite where the URDF has none) are the URDF's, `prismatic` (n,) marks those
    in m. Joints of the chain that are not driven stay at their position in `held`, or at 0;
    `mimic` is ignored, and a driven joint beside the chain moves nothing. The base's frame is that
    of `root_link`; `undriven` names the movable joints of the chain that are not driven.
    Raises InvalidInput for a URDF that cannot be read or that lacks a joint or the link.
    """

    def __init__(
        self, urdf: Path, joint_names: tuple[str, ...], end_effector: str,
        held: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.urdf = urdf
        robot = _parse(urdf)
        joints = {joint.get('name', ''): joint for joint in robot.findall('joint')}
        links = [link.get('name', '') for link in robot.findall('link')]
        self.links = tuple(links)
        self.joint_names = tuple(joint_names)
        if len(set(self.joint_names)) < len(self.joint_names):
            raise InvalidInput(f'joints {", ".join(joint_names)} name one twice; name each once')
        if end_effector not in links:
            raise InvalidInput(f'{urdf} has no link {end_effector!r}; it has {", ".join(links)}')
        bounds = [_bounds(urdf, joints, name) for name in self.joint_names]
        self.position_low, self.position_high, self.velocity_limit = (
            np.array(bounds, dtype=float).reshape(-1, 3).T.copy())
        self.prismatic = np.array(
            [joints[name].get('type') == 'prismatic' for name in self.joint_names], dtype=bool)
        chain = _chain(urdf, joints, end_effector)
        self.root_link = _end(chain[0], 'parent') if chain else end_effector
        self.undriven = tuple(
            name for joint in chain if joint.get('type') in DRIVABLE_TYPES
            and (name := joint.get('name', '')) not in self.joint_names)
        self._build(urdf, chain, held)

    def _build(
        self, urdf: Path, chain: list[ElementTree.Element], held: Mapping[str, float],
    ) -> None:
        """
        Write each driven joint's transform as A + sin(q) B + cos(q) C + q D.

        A rotation is I + sin(q) K + (1 - cos(q)) K² (Rodrigues) with the axis's cross-product
        matrix K; a slide is I + q times its axis; fixed transforms before the joint are multiplied
        in. So the transforms are linear in (sin(q), cos(q)) and q. The tool's transform and
        identities pad them to a power of two, see `pose`.
        """
        fixed = np.eye(4)
        parts, axes, order, sliding = [], [], [], []
        for joint in chain:
            fixed = fixed @ _origin(urdf, joint)
            name = joint.get('name', '')
            if name not in self.joint_names and name not in held:
                continue
            axis = _axis(urdf, joint)
            sine, cosine, slide = np.zeros((3, 4, 4))
            if joint.get('type') == 'prismatic':
                slide[:3, 3] = axis
            else:
                sine[:3, :3] = np.cross(np.eye(3), axis)
                cosine = -sine @ sine
            motion = (np.eye(4) - cosine, sine, cosine, slide)
            if name not in self.joint_names:
                at = held[name]
                fixed = fixed @ np.tensordot((1.0, np.sin(at), np.cos(at), at), motion, 1)
                continue
            parts.append(fixed @ motion)
            axes.append(axis)
            order.append(self.joint_names.index(name))
            sliding.append(joint.get('type') == 'prismatic')
            fixed = np.eye(4)
        joints, slots = len(self.joint_names), 1 << len(order).bit_length()
        constant = np.tile(np.eye(4), (slots, 1, 1))
        moving = np.zeros((3, joints, slots, 4, 4))
        for slot, (column, (alone, *moved)) in enumerate(zip(order, parts, strict=True)):
            constant[slot], moving[:, column, slot] = alone, moved
        constant[len(order)] = fixed
        self._constant = constant.ravel()
        self._turning = moving[:2].reshape(2 * joints, -1)
        self._shifting = moving[2].reshape(joints, -1) if any(sliding) else None
        self._axes = np.array(axes).reshape(-1, 3)
        self._order = np.array(order, dtype=int)
        self._sliding = np.array(sliding, dtype=bool)

    def _transforms(self, q: np.ndarray) -> np.ndarray:
        """Return (slots, ..., 4, 4): each driven joint in the previous one, then the tool."""
        q = np.asarray(q, dtype=float)
        if q.shape[-1:] != (len(self.joint_names),):
            raise ValueError(f'q has shape {q.shape}; end it in {", ".join(self.joint_names)}')
        # `dot` and `+=` are fastest for a single q, the case of a control loop.
        transforms = np.concatenate((np.sin(q), np.cos(q)), axis=-1).dot(self._turning)
        transforms += self._constant
        if self._shifting is not None:
            transforms += q.dot(self._shifting)
        if q.ndim == 1:
            return transforms.reshape(-1, 4, 4)
        return np.moveaxis(transforms.reshape((*q.shape[:-1], -1, 4, 4)), -3, 0)

    def pose(self, q: np.ndarray) -> np.ndarray:
        """Return the end effector's frame in the base's (..., 4, 4), m, at `q` (..., n)."""
        frames = self._transforms(q)
        while len(frames) > 1:  # multiply neighbours pairwise: few calls of many products each
            frames = frames[::2] @ frames[1::2]
        return frames[0]

    def position(self, q: np.ndarray) -> np.ndarray:
        """Return the end effector's origin in the base's frame (..., 3) m at `q` (..., n)."""
        return self.pose(q)[..., :3, 3].copy()

    def jacobian(self, q: np.ndarray) -> np.ndarray:
        """
        Return d position / d q (3, n), m/rad or m/m, at one `q` (n,).

        Column i is z × (p - o) for a rotation about z through o, and z for a slide along it.
        """
        transforms = self._transforms(q)[:len(self._order)]
        frames = np.array(list(accumulate(transforms, np.matmul))).reshape(-1, 4, 4)
        end = self.position(q)
        axes = (frames[:, :3, :3] @ self._axes[:, :, None])[:, :, 0]
        turned = np.cross(axes, end - frames[:, :3, 3])
        jacobian = np.zeros((3, len(self.joint_names)))  # 0 for joints beside the chain
        jacobian[:, self._order] = np.where(self._sliding[:, None], axes, turned).T
        return jacobian


class _NoDoctype(ElementTree.TreeBuilder):
    """Reject a document type, and so entities, which a URDF does not need."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise InvalidInput('declares a document type')


def _parse(urdf: Path) -> ElementTree.Element:
    """Return the `robot` element of an untrusted file."""
    try:
        with urdf.open('rb') as file:
            text = file.read(URDF_SIZE_LIMIT + 1)
    except OSError as error:
        raise InvalidInput(
            f'{urdf} cannot be read ({error.strerror}); give a URDF file'
        ) from error
    if len(text) > URDF_SIZE_LIMIT:
        raise InvalidInput(
            f'{urdf} is larger than {URDF_SIZE_LIMIT} bytes; give a URDF without meshes'
        )
    try:
        robot = ElementTree.fromstring(text, ElementTree.XMLParser(target=_NoDoctype()))
    except InvalidInput as error:
        raise InvalidInput(f'{urdf} {error}, which a URDF has no use for; remove it') from None
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise InvalidInput(f'{urdf} is not well-formed XML ({error}); give a URDF') from error
    if any(XACRO in str(element.tag) for element in robot.iter()):
        raise InvalidInput(
            f'{urdf} is a xacro file; run `xacro {urdf.name} > robot.urdf` and give robot.urdf')
    if robot.tag != 'robot':
        raise InvalidInput(f'{urdf} begins with <{robot.tag}>, a URDF with <robot>; give a URDF')
    return robot


def _chain(
    urdf: Path, joints: dict[str, ElementTree.Element], end_effector: str
) -> list[ElementTree.Element]:
    """Return the joints from the base to `end_effector`."""
    above: dict[str, ElementTree.Element] = {}
    for joint in joints.values():
        child = _end(joint, 'child')
        if child in above:
            raise InvalidInput(f'{urdf} has two joints above link {child!r}; a URDF is a tree')
        above[child] = joint
    chain: list[ElementTree.Element] = []
    link = end_effector
    while link in above:
        if len(chain) == len(above):
            raise InvalidInput(f'{urdf} has a circle through link {link!r}; a URDF is a tree')
        chain.append(above[link])
        link = _end(chain[-1], 'parent')
    return chain[::-1]


def _end(joint: ElementTree.Element, which: str) -> str:
    element = joint.find(which)
    return '' if element is None else element.get('link', '')


def _bounds(
    urdf: Path, joints: dict[str, ElementTree.Element], name: str
) -> tuple[float, float, float]:
    """Return a driven joint's lower and upper position and its velocity limit."""
    if name not in joints:
        drivable = [other for other, joint in joints.items()
                    if joint.get('type') in DRIVABLE_TYPES]
        raise InvalidInput(f'{urdf} has no joint {name!r}; it has {", ".join(drivable) or "none"}')
    kind = joints[name].get('type')
    if kind not in DRIVABLE_TYPES:
        raise InvalidInput(
            f'joint {name!r} of {urdf} is of type {kind!r}; drive only joints of type '
            f'{", ".join(DRIVABLE_TYPES)}'
        )
    limit = joints[name].find('limit')
    if limit is None and kind != 'continuous':
        raise InvalidInput(f'joint {name!r} of {urdf} has no <limit>; give it one')
    values = {} if limit is None else limit.attrib
    low, high, velocity = (
        _numbers(urdf, name, 'limit', values.get(key, absent))[0]
        for key, absent in (('lower', '0'), ('upper', '0'), ('velocity', 'inf')))
    if kind == 'continuous':
        low, high = -np.inf, np.inf
    return low, high, velocity


def _origin(urdf: Path, joint: ElementTree.Element) -> np.ndarray:
    """Return the joint's constant transform (4, 4): rpy are fixed-axis angles, x first."""
    origin = joint.find('origin')
    values = {} if origin is None else origin.attrib
    name = joint.get('name', '')
    xyz = _numbers(urdf, name, 'origin xyz', values.get('xyz', '0 0 0'), 3)
    roll, pitch, yaw = _numbers(urdf, name, 'origin rpy', values.get('rpy', '0 0 0'), 3)
    (cr, cp, cy), (sr, sp, sy) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    return np.array([
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr, xyz[0]],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr, xyz[1]],
        [-sp, cp * sr, cp * cr, xyz[2]],
        [0.0, 0.0, 0.0, 1.0],
    ])


def _axis(urdf: Path, joint: ElementTree.Element) -> np.ndarray:
    """Return the joint's unit axis (3,)."""
    element, name = joint.find('axis'), joint.get('name', '')
    text = '1 0 0' if element is None else element.get('xyz', '1 0 0')
    axis = np.array(_numbers(urdf, name, 'axis', text, 3))
    if not 0.0 < (length := np.linalg.norm(axis)) < np.inf:
        raise InvalidInput(f'joint {name!r} of {urdf} has the axis {text!r}; give it a direction')
    return axis / length


def _numbers(urdf: Path, joint: str, what: str, text: str, count: int = 1) -> list[float]:
    try:
        numbers = [float(part) for part in text.split()]
    except ValueError:
        numbers = []
    wrong = np.isnan(numbers) if count == 1 else ~np.isfinite(numbers)  # a limit may be infinite
    if len(numbers) != count or wrong.any():
        raise InvalidInput(
            f'joint {joint!r} of {urdf} has {what} {text!r}; give {count} number(s)'
        )
    return numbers
