# SPDX-License-Identifier: Apache-2.0
"""Write checkpoints on a background thread."""

from collections.abc import Mapping
from pathlib import Path
import threading
from typing import Any

from torch import Tensor

from rl_control.learning import checkpoint


class CheckpointWriter:
    """
    Writes one checkpoint at a time; used from one thread.

    `error` is the reason why the last checkpoint could not be written, empty where it could. The
    one before is untouched then, and the next call tries again.
    """

    def __init__(self, directory: Path) -> None:
        self.error = ''
        self.saved = -1  # updates of the newest checkpoint that is complete on the disk
        self._directory = directory
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Return whether a checkpoint is being written."""
        return self._thread is not None and self._thread.is_alive()

    def save(self, updates: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """
        Begin to write; `tensors` and `state` must be copies that no longer change.

        Block while the previous checkpoint is being written, see `busy`.
        """
        self.finish()
        self._thread = threading.Thread(
            target=self._write, args=(updates, tensors, state), name='saving', daemon=True)
        self._thread.start()

    def finish(self, timeout: float | None = None) -> None:
        """Wait until the checkpoint is written, at most `timeout` s."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _write(
        self, updates: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any],
    ) -> None:
        try:
            checkpoint.save(self._directory, updates, tensors, state)
        except OSError as error:
            self.error = f'checkpoint {updates} cannot be written ({error.strerror})'
        else:
            self.error, self.saved = '', updates
