# SPDX-License-Identifier: Apache-2.0
"""Contract, command and transition."""

from dataclasses import FrozenInstanceError, replace
import hashlib
import json

import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Column, Command, Contract, Transition

ARM = Contract(
    robot='two_link',
    task='reach',
    joint_names=('shoulder', 'elbow'),
    observation=(Column('shoulder.q', 'rad'),),
    action=(Column('shoulder.dq', 'rad/s'), Column('elbow.dq', 'rad/s')),
    action_low=(-1.0, -0.1),
    action_high=(1.0, 1 / 3),
    command_interface='position',
    control_period=0.05,
)


def test_the_hash_is_that_of_all_fields_written_out() -> None:
    text = (
        '{"action":[{"name":"shoulder.dq","unit":"rad/s"},{"name":"elbow.dq","unit":"rad/s"}],'
        '"action_high":[1.0,0.3333333333333333],"action_low":[-1.0,-0.1],'
        '"command_interface":"position","control_period":0.05,'
        '"joint_names":["shoulder","elbow"],'
        '"observation":[{"name":"shoulder.q","unit":"rad"}],"robot":"two_link","task":"reach"}')
    assert ARM.to_json() == text
    assert ARM.hash == hashlib.sha256(text.encode()).hexdigest()


CHANGES = {
    'robot': 'other',
    'task': 'push',
    'joint_names': ('elbow', 'shoulder'),
    'observation': (Column('shoulder.q', 'deg'),),
    'action': (Column('elbow.dq', 'rad/s'), Column('shoulder.dq', 'rad/s')),
    'action_low': (-1.0, -0.1000000001),
    'action_high': (1.0, 1 / 3 + 1e-15),
    'command_interface': 'velocity',
    'control_period': 0.04,
}


@pytest.mark.parametrize('name', CHANGES)
def test_each_field_changes_the_hash_and_is_named(name: str) -> None:
    other = replace(ARM, **{name: CHANGES[name]})
    assert other.hash != ARM.hash
    with pytest.raises(
        InvalidInput, match=f'^this arm has {name} .* but the policy has .*; use a'
    ):
        ARM.require_equal(other, 'this arm', 'the policy')


def test_a_difference_is_named_with_units() -> None:
    other = replace(ARM, observation=CHANGES['observation'])
    with pytest.raises(InvalidInput) as refused:
        ARM.require_equal(other, 'this arm', 'FILE')
    assert str(refused.value) == (
        'this arm has observation [shoulder.q (rad)] but FILE has [shoulder.q (deg)]; '
        'use a policy and a robot of the same contract')


JOINTLESS = replace(ARM, robot='gymnasium:Pendulum-v1', joint_names=())


@pytest.mark.parametrize('contract', [ARM, JOINTLESS], ids=['arm', 'no joints'])
def test_json_brings_back_the_same(contract: Contract) -> None:
    again = Contract.from_json(contract.to_json())
    assert again == contract and again.hash == contract.hash
    contract.require_equal(again, 'this', 'that')
    assert hash(again) == hash(contract)  # tuples again, not lists


def test_json_does_not_depend_on_order_and_space() -> None:
    shuffled = json.dumps(dict(reversed(json.loads(ARM.to_json()).items())), indent=3)
    assert Contract.from_json(shuffled).hash == ARM.hash


@pytest.mark.parametrize(('name', 'value', 'words'), [
    ('command_interface', 'torque', "'torque'; it must be one of position, velocity, effort"),
    ('action_low', (-1.0,), '2 action columns but 1 lower and 2 upper bounds'),
    ('action_low', (-1.0, 1 / 3), 'must be finite and below'),
    ('action_low', (-1.0, float('nan')), 'must be finite and below'),
    ('action_high', (1.0, float('inf')), 'must be finite and below'),
    ('observation', (), 'no observation or no action columns'),
    ('control_period', 0.0, 'control period of 0.0 s'),
    ('control_period', float('nan'), 'control period of nan s'),
    ('control_period', float('inf'), 'control period of inf s'),
])
def test_a_contract_that_makes_no_sense_is_refused(
    name: str, value: object, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        replace(ARM, **{name: value})


def changed(**values: object) -> str:
    return json.dumps({**json.loads(ARM.to_json()), **values})


@pytest.mark.parametrize('text', [
    '', 'null', '5', '[]', '"robot"', '{}', '{"robot": "two_link"}', ARM.to_json()[:-9],
    '[' * 100_000,
    changed(joint_names='ab'),  # would be joints a and b
    changed(joint_names=[1, 2]),
    changed(joint_names=None),
    changed(action_low=['low', 'lower']),
    changed(action_low=['-1', '-0.1']),
    changed(observation=[{'name': 'shoulder.q'}]),
    changed(observation=[{'name': 'shoulder.q', 'unit': 'rad', 'scale': 2}]),
    changed(observation=['shoulder.q']),
    changed(control_period='fast'),
    changed(robot=None),
    changed(colour='red'),
    changed(action_low=[-10**400, -1]),
    changed(control_period=10**400),
    changed(joint_names=['\ud800', 'elbow']),
    changed(observation=[{'name': 5, 'unit': 'rad'}]),
], ids=range(24))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r'^contract .*; take a file that rl_control exported$'):
        Contract.from_json(text)


def test_a_command_at_rest_is_a_copy() -> None:
    q = np.array([1.0, 2.0])
    command = Command.at_rest(q)
    q[0] = 9.0
    assert command.q.tolist() == [1.0, 2.0]
    assert not command.dq.any() and not command.ddq.any()
    command.dq[0] = 1.0
    assert not command.ddq.any()
    with pytest.raises(FrozenInstanceError):
        command.q = q


@pytest.mark.parametrize(('terminated', 'truncated', 'discount'), [
    (False, False, 1.0), (False, True, 1.0), (True, False, 0.0), (True, True, 0.0)])
def test_a_time_out_still_bootstraps(
    terminated: bool, truncated: bool, discount: float
) -> None:
    none = np.zeros(0)
    transition = Transition(
        0, 0, 0.0, -1, 0.0, none, none, none, 0.0, none, terminated, truncated)
    assert transition.discount == discount
