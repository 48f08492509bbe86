# SPDX-License-Identifier: Apache-2.0
"""MuJoCo model of an arm, read from its URDF link by link."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np

from rl_control.common import poses
from rl_control.common.errors import InvalidInput
from rl_control.robots.cubic_setpoints import GRAVITY
from rl_control.robots.kinematics import _axis, _end, _numbers, _origin, _parse
from rl_control.robots.meshes import find_mesh, mesh_problem
from rl_control.robots.mujoco_scene import ROBOT_BIT, contact

LEAST_MASS, LEAST_INERTIA = 1e-6, 1e-9  # kg, kg m²; MuJoCo moves no body without
DEFAULT_EFFORT = 1000.0  # N m or N; of a driven joint whose URDF has no effort limit
GREY = (0.6, 0.6, 0.6, 1.0)
SEEN, UNSEEN = 0, 3  # groups of geoms: drawn, and for contact alone
JOINTS = {'revolute': mujoco.mjtJoint.mjJNT_HINGE, 'continuous': mujoco.mjtJoint.mjJNT_HINGE,
          'prismatic': mujoco.mjtJoint.mjJNT_SLIDE}
SHAPES = {'box': mujoco.mjtGeom.mjGEOM_BOX, 'cylinder': mujoco.mjtGeom.mjGEOM_CYLINDER,
          'sphere': mujoco.mjtGeom.mjGEOM_SPHERE, 'capsule': mujoco.mjtGeom.mjGEOM_CAPSULE}


def arm_spec(urdf: Path, joint_names: tuple[str, ...], timestep: float) -> mujoco.MjSpec:
    """
    Return the model of an arm on a fixed base, `timestep` in s, not compiled yet.

    Bodies and joints have the names of the URDF's links and joints; links at fixed joints stay
    bodies. Each driven joint has an actuator of its name, in their order, which takes position
    and velocity; joints that are not driven are held still by their effort limit (free where it
    is 0), or coupled as `mimic` says to a driven or a free one. Raises InvalidInput for what
    MuJoCo cannot have.
    """
    return _Reader(urdf, joint_names, timestep).spec


class _Reader:
    """Builds the spec in the order of the tree."""

    def __init__(self, urdf: Path, joint_names: tuple[str, ...], timestep: float) -> None:
        self._urdf, self._driven = urdf, joint_names
        robot = _parse(urdf)
        self._efforts: dict[str, float] = {}  # of the joints that have a servo
        self._links = {link.get('name', ''): link for link in robot.findall('link')}
        self._joints: dict[str, list[ElementTree.Element]] = {}
        for joint in robot.findall('joint'):
            self._joints.setdefault(_end(joint, 'parent'), []).append(joint)
        self._held = {
            joint.get('name', '') for joint in robot.findall('joint')
            if joint.get('name') not in joint_names and self._value(joint, 'limit', 'effort')}
        self._colours = {
            material.get('name', ''): colour for material in robot.findall('material')
            if (colour := self._colour(material)) is not None}
        self.spec = spec = mujoco.MjSpec()
        spec.modelname = robot.get('name', '')
        spec.compiler.degree = False
        spec.compiler.balanceinertia = True
        option = spec.option
        option.timestep = timestep
        option.gravity = (0.0, 0.0, GRAVITY)
        option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
        children = {_end(joint, 'child') for joint in robot.findall('joint')}
        for name in self._links:
            if name not in children:
                self._add_link(spec.worldbody, name, np.eye(4))
        held = [name for name in self._efforts if name not in joint_names]
        for name in (*joint_names, *held):
            self._add_servo(name)

    def _add_link(
        self, parent: mujoco.MjsBody, name: str, frame: np.ndarray,
        joint: ElementTree.Element | None = None,
    ) -> None:
        """Add a link at `frame` (4, 4) in its parent, moved by `joint`, and all below it."""
        if name not in self._links:
            raise InvalidInput(f'{self._urdf} has no link {name!r}, which a joint names; add it')
        body = parent.add_body(name=name, **_place(frame))
        body.gravcomp = 1.0
        self._add_inertia(body, self._links[name])
        if joint is not None and joint.get('type') != 'fixed':
            self._add_joint(body, joint)
        for shape, seen, solid in self._shapes(self._links[name]):
            self._add_geom(body, shape, seen, solid)
        for below in self._joints.get(name, ()):
            self._add_link(body, _end(below, 'child'), _origin(self._urdf, below), below)

    def _add_inertia(self, body: mujoco.MjsBody, link: ElementTree.Element) -> None:
        """Give a body the link's mass and principal inertias, at least the least."""
        inertial = link.find('inertial')
        mass, inertia, frame = 0.0, np.zeros((3, 3)), np.eye(4)
        if inertial is not None:
            frame = _origin(self._urdf, inertial)
            mass = self._value(inertial, 'mass', 'value')
            xx, xy, xz, yy, yz, zz = (
                self._value(inertial, 'inertia', key)
                for key in ('ixx', 'ixy', 'ixz', 'iyy', 'iyz', 'izz'))
            inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        moments, axes = np.linalg.eigh(inertia)
        axes[:, 0] *= np.sign(np.linalg.det(axes))
        frame[:3, :3] = frame[:3, :3] @ axes
        pose = poses.from_matrix(frame)
        body.explicitinertial = True
        body.mass = max(mass, LEAST_MASS)
        body.ipos, body.iquat = pose[:3], pose[[6, 3, 4, 5]]
        body.inertia = np.maximum(moments, LEAST_INERTIA)

    def _add_joint(self, body: mujoco.MjsBody, element: ElementTree.Element) -> None:
        """Add a joint and what drives, holds or couples it."""
        name, kind = element.get('name', ''), element.get('type', '')
        if kind not in JOINTS:
            raise InvalidInput(
                f'joint {name!r} of {self._urdf} is of type {kind!r}; give it one of '
                f'{", ".join(JOINTS)}, fixed')
        joint = body.add_joint(name=name, type=JOINTS[kind], axis=_axis(self._urdf, element))
        joint.damping[0] = self._value(element, 'dynamics', 'damping')
        joint.frictionloss = self._value(element, 'dynamics', 'friction')
        if kind != 'continuous':
            joint.range = [self._value(element, 'limit', key) for key in ('lower', 'upper')]
            joint.limited = mujoco.mjtLimited.mjLIMITED_TRUE
        effort = self._value(element, 'limit', 'effort')
        mimic = element.find('mimic')
        if name in self._driven:
            self._efforts[name] = effort or DEFAULT_EFFORT
        elif name in self._held and (mimic is None or mimic.get('joint') in self._held):
            self._efforts[name] = effort
        elif mimic is not None:
            coefficients = np.zeros(12)
            coefficients[:2] = (self._value(element, 'mimic', 'offset'),
                                self._value(element, 'mimic', 'multiplier', '1'))
            self.spec.add_equality(
                type=mujoco.mjtEq.mjEQ_JOINT, objtype=mujoco.mjtObj.mjOBJ_JOINT, name1=name,
                name2=mimic.get('joint', ''), data=coefficients,
                solref=(2.0 * self.spec.option.timestep, 1.0))  # as stiff as is stable

    def _add_servo(self, joint: str) -> None:
        """Add a position controller within the effort limit of a joint."""
        effort = self._efforts[joint]
        servo = self.spec.add_actuator(
            name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT,
            forcelimited=mujoco.mjtLimited.mjLIMITED_TRUE, forcerange=(-effort, effort))
        servo.set_to_pid(kp=1.0, kv=1.0)  # the gains follow when the inertias are known

    def _shapes(
        self, link: ElementTree.Element,
    ) -> Iterator[tuple[ElementTree.Element, bool, bool]]:
        """Yield each shape of a link, whether it is drawn, and whether it touches things."""
        visuals, collisions = link.findall('visual'), link.findall('collision')
        drawn = visuals and not any(self._problem(visual) for visual in visuals)
        for visual in visuals if drawn else ():
            yield visual, True, False
        for collision in collisions:
            if problem := self._problem(collision):
                raise InvalidInput(
                    f'MuJoCo cannot load {self._urdf}: collision mesh {problem}, or take '
                    'simulator pybullet')
            yield collision, not drawn, True

    def _problem(self, shape: ElementTree.Element) -> str:
        """Return why a shape cannot be had, or ''."""
        mesh = shape.find('geometry/mesh')
        return '' if mesh is None else mesh_problem(self._urdf, mesh.get('filename', ''))

    def _add_geom(
        self, body: mujoco.MjsBody, shape: ElementTree.Element, seen: bool, solid: bool,
    ) -> None:
        """Add the geometry of a visual or a collision element."""
        element = next(iter(shape.find('geometry') or ()), None)
        if element is None or element.tag not in (*SHAPES, 'mesh'):
            raise InvalidInput(
                f'link {body.name!r} of {self._urdf} has a shape that is none of '
                f'{", ".join(SHAPES)}, mesh; give it one of them')
        geom = body.add_geom(
            group=SEEN if seen else UNSEEN, contype=ROBOT_BIT if solid else 0, conaffinity=0,
            rgba=self._rgba(shape), **contact(self.spec), **_place(_origin(self._urdf, shape)))
        if element.tag == 'mesh':
            geom.type, geom.meshname = mujoco.mjtGeom.mjGEOM_MESH, self._mesh(element)
        else:
            geom.type, geom.size = SHAPES[element.tag], self._size(body.name, element)

    def _size(self, link: str, element: ElementTree.Element) -> list[float]:
        """Return MuJoCo's three sizes (m) of a primitive, of which halves count."""
        if element.tag == 'box':
            sides = _numbers(self._urdf, link, 'size', element.get('size', ''), 3)
            return [side / 2 for side in sides]
        radius, length = (
            _numbers(self._urdf, link, key, element.get(key, '0'))[0]
            for key in ('radius', 'length'))
        return [radius, length / 2, 0.0]

    def _mesh(self, element: ElementTree.Element) -> str:
        """Return the name of the mesh with an element's file and scale, added if it is new."""
        filename, scale = element.get('filename', ''), element.get('scale', '1 1 1')
        name = f'{filename} {scale}'
        if name not in {mesh.name for mesh in self.spec.meshes}:
            self.spec.add_mesh(
                name=name, file=str(find_mesh(self._urdf, filename)),
                scale=_numbers(self._urdf, filename, 'scale', scale, 3),
                inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
        return name

    def _rgba(self, shape: ElementTree.Element) -> tuple[float, ...]:
        material = shape.find('material')
        if material is None:
            return GREY
        return self._colour(material) or self._colours.get(material.get('name', ''), GREY)

    def _colour(self, material: ElementTree.Element) -> tuple[float, ...] | None:
        colour = material.find('color')
        return None if colour is None else tuple(_numbers(
            self._urdf, material.get('name', ''), 'rgba', colour.get('rgba', ''), 4))

    def _value(
        self, element: ElementTree.Element, tag: str, key: str, absent: str = '0',
    ) -> float:
        """Return one number of a child of `element`, or what it is where it is absent."""
        child = element.find(tag)
        text = absent if child is None else child.get(key, absent)
        return _numbers(self._urdf, element.get('name', ''), f'{tag} {key}', text)[0]


def _place(frame: np.ndarray) -> dict[str, np.ndarray]:
    """Return a frame (4, 4) as what MuJoCo takes: position in m, quaternion w, x, y, z."""
    pose = poses.from_matrix(frame)
    return {'pos': pose[:3], 'quat': pose[[6, 3, 4, 5]]}
