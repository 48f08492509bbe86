# SPDX-License-Identifier: Apache-2.0
"""ONNX policy: load, verify and run an exported policy with numpy and onnxruntime alone."""

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from rl_control.common.errors import InvalidInput, NonFinite
from rl_control.common.files import digest, write_all_atomically
from rl_control.common.types import Contract
from rl_control.policies.onnx_validation import SIZE_LIMIT, checked_model, shape_of

FORMAT = '1'
TOLERANCE = 1e-4  # largest error of a test vector, of the action range


class OnnxPolicy:
    """
    One version of a policy, verified and loaded.

    Constructed from the bytes of an exported file, whose digest the caller has compared. Its
    attributes are `contract`, `algorithm`, `run`, `version` (updates), `training_steps`
    (transitions), `digest`, `metadata`, the sizes of the arguments of `act`, and
    `noise_correlation`, the share of the noise that exploration keeps from one step to the next.
    One thread at a time may call `act`. Each version is an object of its own, so that a swap is
    one assignment.
    """

    def __init__(self, data: bytes, name: str = 'policy') -> None:
        """Verify and load `data`; raise InvalidInput about `name` for an invalid file."""
        model = checked_model(data, name)
        self.data = data
        self.digest = digest(data)
        self.metadata = {entry.key: entry.value for entry in model.metadata_props}
        try:
            if self.metadata['format'] != FORMAT:
                raise InvalidInput(f'is of format {self.metadata["format"]!r}, not {FORMAT}')
            self.contract = _contract(self.metadata['contract'])
            if self.contract.hash != self.metadata['contract_hash']:
                raise InvalidInput('has a contract_hash that differs from its contract')
            self.algorithm = self.metadata['algorithm']
            self.run = self.metadata['run']
            self.version = int(self.metadata['version'])
            self.training_steps = int(self.metadata['training_steps'])
            self.noise_correlation = float(self.metadata['noise_correlation'])
            if not 0.0 <= self.noise_correlation < 1.0:
                raise InvalidInput(f'has a noise_correlation of {self.noise_correlation}')
            self.observation_size = len(self.contract.observation)
            self.action_size = len(self.contract.action)
            self.noise_size = self._sizes(model)
            vectors = TestVectors.read(
                self.metadata, self.observation_size, self.noise_size, self.action_size)
        except KeyError as error:
            raise InvalidInput(
                f'{name} has no {error} in its metadata; take a file that rl_control exported'
            ) from error
        except ValueError as error:  # InvalidInput is one
            raise InvalidInput(f'{name}: {error}; take a file that rl_control exported') from error
        self._open(model, name)
        self._compare(vectors, name)

    def act(
        self, observation: np.ndarray, noise: np.ndarray | None = None
    ) -> tuple[np.ndarray, float]:
        """
        Return a new action (a,) in SI units and its log_prob, NaN where the policy has none.

        `observation` (o,) is in SI units, `noise` (n,) standard normal; without noise the action
        is deterministic. Raise InvalidInput for an observation of another size and NonFinite for
        NaN or infinity.
        """
        if len(observation) != self.observation_size:
            raise InvalidInput(
                f'observation has {len(observation)} columns; the policy takes '
                f'{self.observation_size}'
            )
        self._observation[:] = observation
        if noise is None:
            self._noise.fill(0.0)
        else:
            self._noise[:] = noise
        if not _finite(self._inputs):
            raise NonFinite('observation or noise has NaN or infinity; check the sensors')
        self._run(self._binding, self._run_options)
        if not _finite(self._finite_outputs):
            raise NonFinite(f'action of policy version {self.version} has NaN or infinity')
        return self._action.copy(), float(self._outputs[-1])

    def save(self, path: Path | str) -> None:
        """Write the file and its `.sha256` beside it, in the form that sha256sum -c reads."""
        path = Path(path)
        write_all_atomically({
            digest_path(path): f'{self.digest}  {path.name}\n'.encode(), path: self.data})

    def _sizes(self, model: onnx.ModelProto) -> int:
        """Return the noise size; raise InvalidInput if inputs or outputs do not fit."""
        weights = {tensor.name for tensor in model.graph.initializer}
        inputs = {i.name: shape_of(i) for i in model.graph.input if i.name not in weights}
        outputs = {value.name: shape_of(value) for value in model.graph.output}
        noise = inputs.get('noise') or (0, 0)
        self._has_log_prob = 'log_prob' in outputs
        contract_inputs: dict[str, tuple[int, ...]] = {
            'observation': (1, self.observation_size), 'noise': (1, max(noise[-1], 1))}
        contract_outputs: dict[str, tuple[int, ...]] = {'action': (1, self.action_size)}
        if self._has_log_prob:
            contract_outputs['log_prob'] = (1,)
        if inputs != contract_inputs or outputs != contract_outputs:
            raise InvalidInput(
                f'has inputs {inputs} and outputs {outputs} where its contract has '
                f'{contract_inputs} and {contract_outputs}'
            )
        return noise[1]

    def _open(self, model: onnx.ModelProto, name: str) -> None:
        """Open a session, bound to preallocated buffers of this object."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        split = self.observation_size
        self._inputs = np.zeros(split + self.noise_size, np.float32)
        self._observation, self._noise = self._inputs[:split], self._inputs[split:]
        self._outputs = np.full(self.action_size + 1, np.nan, np.float32)
        self._action = self._outputs[:-1]
        self._finite_outputs = self._outputs if self._has_log_prob else self._action
        try:
            # Run the model that was checked: `data` might be parsed differently.
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=['CPUExecutionProvider'])
        except Exception as error:  # onnxruntime's own kinds have no other common base
            raise InvalidInput(
                f'{name} cannot be loaded by onnxruntime {onnxruntime.__version__}; '
                'take a file that rl_control exported'
            ) from error
        binding = self._session.io_binding()
        for wire, buffer in (('observation', self._observation), ('noise', self._noise)):
            binding.bind_input(
                wire, 'cpu', 0, np.float32, (1, len(buffer)), buffer.ctypes.data)
        binding.bind_output(
            'action', 'cpu', 0, np.float32, (1, self.action_size), self._action.ctypes.data)
        if self._has_log_prob:
            binding.bind_output(
                'log_prob', 'cpu', 0, np.float32, (1,), self._outputs[-1:].ctypes.data)
        # Call the compiled function: the Python wrapper costs a microsecond per call, and
        # constructing default options another.
        self._binding, self._run = binding._iobinding, self._session._sess.run_with_iobinding
        self._run_options = onnxruntime.RunOptions()

    def _compare(self, vectors: 'TestVectors', name: str) -> None:
        """Raise InvalidInput unless the policy reproduces the test vectors of its export."""
        observations, noises, expected = vectors
        try:
            actions = np.stack([
                self.act(*inputs)[0] for inputs in zip(observations, noises, strict=True)])
        except Exception as error:  # onnxruntime's own kinds have no other common base
            why = ' '.join(str(error).split())[:200]
            raise InvalidInput(f'{name} fails its own test vectors: {why}; '
                               'take a file that rl_control exported') from error
        span = np.subtract(self.contract.action_high, self.contract.action_low)
        worst = float(np.max(np.abs(actions - expected) / span))
        if not worst <= TOLERANCE:
            raise InvalidInput(
                f'{name} differs from its own test vectors by {worst:.2g} of the action '
                f'range, more than {TOLERANCE:g}; export or copy it again'
            )


class TestVectors(tuple):
    """Observations (16, o), noises (16, n) and expected actions (16, a), float32."""

    __test__ = False  # pytest must not collect it
    NUMBER = 16
    KEYS = ('test_observation', 'test_noise', 'test_action')

    def write(self) -> dict[str, str]:
        """Return metadata: base64 of little-endian float32, which is exact."""
        return {
            key: base64.b64encode(np.ascontiguousarray(values, '<f4').tobytes()).decode()
            for key, values in zip(self.KEYS, self, strict=True)
        }

    @classmethod
    def read(cls, metadata: Mapping[str, str], *sizes: int) -> 'TestVectors':
        """Return the vectors that `write` wrote; raise InvalidInput for another size."""
        read = []
        for key, size in zip(cls.KEYS, sizes, strict=True):
            try:
                data = base64.b64decode(metadata[key], validate=True)
            except binascii.Error as error:
                raise InvalidInput(f'{key} is no base64') from error
            if len(data) != 4 * cls.NUMBER * size:
                raise InvalidInput(f'{key} has {len(data)} bytes, not {4 * cls.NUMBER * size}')
            read.append(np.frombuffer(data, '<f4').reshape(cls.NUMBER, size))
        return cls(read)


def load(path: Path | str) -> OnnxPolicy:
    """
    Return the policy in the file `path`, whose digest is in the `.sha256` file beside it.

    Raise InvalidInput naming the file if it is missing, corrupt or invalid.
    """
    path = Path(path)
    try:
        with path.open('rb') as file:
            data = file.read(SIZE_LIMIT + 1)
        with digest_path(path).open('rb') as file:
            expected = file.read(64).decode('ascii', 'replace')
    except OSError as error:
        raise InvalidInput(
            f'policy {path} cannot be read: {error.filename}: {error.strerror}; '
            'name a policy with its .sha256 file beside it'
        ) from error
    if digest(data) != expected:
        raise InvalidInput(f'policy {path} does not have the digest in {digest_path(path).name}; '
                      'export or copy it again')
    return OnnxPolicy(data, f'policy {path}')


def digest_path(path: Path) -> Path:
    """Return the path of the digest of `path`."""
    return path.with_name(path.name + '.sha256')


@lru_cache(maxsize=1)  # the versions of one training have one contract
def _contract(text: str) -> Contract:
    return Contract.from_json(text)


def _finite(values: np.ndarray) -> bool:
    """Return whether all values are finite; counting is four times faster than `.all()`."""
    return np.count_nonzero(np.isfinite(values)) == values.size
