# SPDX-License-Identifier: Apache-2.0
"""CDR decoding of messages and of the stamps in their headers, without ROS."""

from collections.abc import Mapping
import struct
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from rl_control.bags.bag_types import Raw, Topic

ENCAPSULATIONS = (b'\0\0', b'\0\1')  # plain CDR, big- and little-endian
HEADER = 'std_msgs/msg/Header'
TIME = 'builtin_interfaces/msg/Time'
# Types whose header's stamp says when the command begins, not when it was sent; 0 means now.
BEGIN_STAMPED = ('trajectory_msgs/msg/JointTrajectory',)
_STAMP = {0: struct.Struct('>iI'), 1: struct.Struct('<iI')}


class Unusable(Exception):
    """One message cannot be used, for a reason that many messages share."""


class Decoder:
    """
    Decoder of a bag's messages; types that `rosbags` lacks come from the bag itself.

    `stamp` needs no decoding: a header is the first field of its message.
    """

    def __init__(self, topics: Mapping[str, Topic]) -> None:
        self._store = get_typestore(Stores.LATEST)
        for topic in topics.values():
            self._register(topic)
        self._stamped = {topic.type: self._begins_with_stamp(topic.type)
                         for topic in topics.values()}

    def stamped(self, topic: Topic) -> bool:
        """Return True if the topic's messages begin with a header."""
        return topic.encoding == 'cdr' and self._stamped[topic.type]

    def stamp(self, raw: Raw) -> int | None:
        """Return the stamp of the header in ns, or None where there is none, or it is 0."""
        data = raw.data
        if not self.stamped(raw.topic) or len(data) < 12 or data[1] not in _STAMP:
            return None
        seconds, nanoseconds = _STAMP[data[1]].unpack_from(data, 4)
        return (seconds * 10**9 + nanoseconds) or None

    def decode(self, raw: Raw) -> Any:
        """Return the message as an object with its fields; raise Unusable with the reason."""
        kind, data = raw.topic.type, raw.data
        if kind not in self._store.fielddefs:
            raise Unusable(f'is of type {kind}, which is defined nowhere')
        if data[:1] in (b'{', b'['):
            raise Unusable('is JSON, not CDR')
        if len(data) < 4:
            raise Unusable('is empty')
        if bytes(data[:2]) not in ENCAPSULATIONS:
            raise Unusable(f'has the CDR encapsulation 0x{bytes(data[:2]).hex()}, not plain CDR')
        definition = self._store.get_msgdef(kind)
        read = definition.deserialize_cdr_le if data[1] else definition.deserialize_cdr_be
        try:
            # Not `deserialize_cdr`, which rejects bytes behind the message. As to rclpy, they mean
            # nothing: Fast CDR reserves room for the alignment of an empty sequence at the end and
            # sends it uninitialised.
            message, _ = read(data[4:], 0, definition.cls, self._store)
        except (SerdeError, struct.error, ValueError) as error:
            raise Unusable(f'is cut or damaged for a {kind}') from error
        return message

    def _register(self, topic: Topic) -> None:
        if topic.type in self._store.fielddefs or not topic.definition:
            return
        try:
            found = get_types_from_msg(topic.definition, topic.type)
            self._store.register({
                name: fields for name, fields in found.items()
                if name not in self._store.fielddefs})
        except (TypesysError, KeyError, ValueError):
            return  # decode() raises for a type without a definition

    def _begins_with_stamp(self, kind: str) -> bool:
        """Return True if the first field of a type is a header or a time."""
        if kind not in self._store.fielddefs:
            return False
        _, fields = self._store.fielddefs[kind]
        return bool(fields) and fields[0][1] in ((Nodetype.NAME, HEADER), (Nodetype.NAME, TIME))
