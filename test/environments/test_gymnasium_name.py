# SPDX-License-Identifier: Apache-2.0
"""Names of Gymnasium environments: id, module and keyword arguments."""

import pytest

from rl_control.common.errors import InvalidInput
from rl_control.environments.gymnasium_name import parse_name


@pytest.mark.parametrize(('name', 'canonical', 'environment_id', 'arguments'), [
    ('Pendulum-v1', 'Pendulum-v1', 'Pendulum-v1', {}),
    ('a_module:ns/Some-v0', 'a_module:ns/Some-v0', 'a_module:ns/Some-v0', {}),
    ('Pendulum-v1?g=1.60', 'Pendulum-v1?g=1.6', 'Pendulum-v1', {'g': 1.6}),
    ('m:A-v0?z=1&a=true', 'm:A-v0?a=true&z=1', 'm:A-v0', {'a': True, 'z': 1}),
    ('A-v0?w=red&x="1"&y=&z=null', 'A-v0?w=red&x="1"&y=null&z=null', 'A-v0',
     {'w': 'red', 'x': '1', 'y': None, 'z': None}),
    ('A-v0?s=[1, 2]', 'A-v0?s=[1, 2]', 'A-v0', {'s': [1, 2]}),
])
def test_a_name_has_one_canonical_form(name, canonical, environment_id, arguments) -> None:
    assert parse_name(name) == (canonical, environment_id, arguments)
    assert parse_name(canonical) == (canonical, environment_id, arguments)
    assert list(parse_name(name)[2]) == sorted(arguments)


@pytest.mark.parametrize('name', [
    'A-v0?', 'A-v0?g', 'A-v0?g=1&g=2', 'A-v0?1=2', 'A-v0?a b=2', 'A-v0?g=[1', 'A-v0?g=!!x 1'])
def test_arguments_that_are_none_are_refused(name) -> None:
    with pytest.raises(InvalidInput, match=r'write them as ID.NAME=VALUE&NAME=VALUE') as refused:
        parse_name(name)
    assert repr(name) in str(refused.value) and '\n' not in str(refused.value)
