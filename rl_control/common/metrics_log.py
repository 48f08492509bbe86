# SPDX-License-Identifier: Apache-2.0
"""Metrics log: append metrics as JSON lines and, on request, TensorBoard event files."""

from collections.abc import Mapping
import json
import math
from pathlib import Path
import time
from typing import Any

from rl_control.common.errors import InvalidInput


class MetricsLog:
    """
    Appends to `out`/metrics.jsonl, and with `tensorboard` to event files in `out`/tensorboard.

    A line has `time`, in s since 1970, and the metrics by name; a value that is not finite is
    null, since JSON has no NaN. Raises InvalidInput if TensorBoard is requested and not
    installed. `error` is the reason why the newest line could not be written, '' if it was.
    """

    def __init__(self, out: Path, tensorboard: bool) -> None:
        self.error = ''
        self._newest: Mapping[str, float] = {}
        self._path = out / 'metrics.jsonl'
        self._events = _event_writer(out / 'tensorboard') if tensorboard else None

    def write(self, metrics: Mapping[str, float]) -> None:
        """Write one set of metrics once; its `updates` are the step of TensorBoard."""
        if not metrics or metrics is self._newest:
            return
        now, self._newest = time.time(), metrics
        line = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        try:
            with self._path.open('a', encoding='utf-8') as file:
                file.write(json.dumps({'time': round(now, 3), **line}) + '\n')
            if self._events is not None:
                self._events.add_event(_event(metrics, now))
                self._events.flush()
            self.error = ''
        except OSError as error:
            self.error = f'metrics are not written ({error.strerror}); make space'


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics.jsonl, [] for none, without a truncated last one."""
    path = run / 'metrics.jsonl'
    return read_lines(path) if path.is_file() else []


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the JSON lines of `path`, without a truncated last one."""
    lines = path.read_text(encoding='utf-8').splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise InvalidInput(
                    f'line {number} of {path} is no JSON ({error.msg}); remove it') from error
    return found


def _event_writer(directory: Path) -> Any:
    try:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise InvalidInput('learner.tensorboard is true but tensorboard is not installed; '
                      'pip install tensorboard, or leave it false: metrics.jsonl has the same'
                      ) from error
    return EventFileWriter(str(directory))


def _event(metrics: Mapping[str, float], now: float) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
    return Event(
        wall_time=now, step=int(metrics.get('updates', 0)), summary=Summary(value=values))
