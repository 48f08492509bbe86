# SPDX-License-Identifier: Apache-2.0
"""Policy messages: ONNX bytes with digest, run, version and withdrawn versions."""

import array
from collections.abc import Collection
import hashlib
import json

from std_msgs.msg import MultiArrayDimension, UInt8MultiArray

from rl_control.common.errors import InvalidInput
from rl_control.transport.table import MESSAGE_LIMIT, read_header

WITHDRAWN_LIMIT = 1000  # versions named in a message


def encode_policy(
    data: bytes, run: str, version: int, withdrawn: Collection[int] = (),
) -> UInt8MultiArray:
    """
    Return the bytes of a policy file as a message that carries their SHA-256.

    `withdrawn` are versions that must not run any more; the newest WITHDRAWN_LIMIT are sent.
    """
    if len(data) > MESSAGE_LIMIT:
        raise InvalidInput(f'policy has {len(data)} bytes; at most {MESSAGE_LIMIT} are sent')
    header = {'digest': hashlib.sha256(data).hexdigest(), 'run': run, 'version': version}
    if withdrawn:
        header['withdrawn'] = [str(one) for one in sorted(withdrawn)[-WITHDRAWN_LIMIT:]]
    message = UInt8MultiArray()
    message.layout.dim = [
        MultiArrayDimension(label=json.dumps(header), size=len(data), stride=len(data))]
    message.data = array.array('B', data)
    return message


def decode_policy(message: UInt8MultiArray) -> tuple[bytes, str, int]:
    """
    Return (bytes, run, version) of a policy whose bytes are those that were sent.

    Size and digest are checked before a parser sees the bytes; raise InvalidInput if wrong.
    """
    if len(message.data) > MESSAGE_LIMIT:
        raise InvalidInput(
            f'policy has {len(message.data)} bytes; at most {MESSAGE_LIMIT} are read'
        )
    if len(message.layout.dim) != 1:
        raise InvalidInput('policy message has no digest; use a sender of this package')
    header = read_header(message.layout.dim[0].label)
    data = bytes(message.data)
    digest = hashlib.sha256(data).hexdigest()
    if header.get('digest') != digest:
        raise InvalidInput(
            f'policy has digest {digest} but its message has {str(header.get("digest"))[:64]}; '
            'it was damaged in transit, so send it again'
        )
    run, version = header.get('run'), header.get('version')
    if not isinstance(run, str) or not isinstance(version, int) or version < 0:
        raise InvalidInput(
            f"policy has run {run!r} and version {version!r}; use a learner's policy"
        )
    return data, run, version


def read_withdrawn(message: UInt8MultiArray) -> frozenset[int]:
    """Return the versions that a policy message, accepted by `decode_policy`, withdraws."""
    withdrawn = read_header(message.layout.dim[0].label).get('withdrawn', [])
    if not isinstance(withdrawn, list) or not all(
            one.isdecimal() and len(one) < 20 for one in withdrawn):
        raise InvalidInput(
            f'policy message withdraws {str(withdrawn)[:64]}; use a broadcaster of this package'
        )
    return frozenset(map(int, withdrawn))
