# SPDX-License-Identifier: Apache-2.0
"""ONNX export: convert a torch policy, and verify the file before it is published."""

from copy import deepcopy
import logging
from pathlib import Path
import warnings

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_atomically
from rl_control.common.types import Contract
from rl_control.learning import checkpoint
from rl_control.learning.algorithms import make_agent, settings_of
from rl_control.policies.onnx_policy import FORMAT, OnnxPolicy, TestVectors
from rl_control.policies.onnx_validation import checked_model

OPSET = 18  # with IR version 10, as runtimes on robots support it; the exporter's default is newer
PARITY = 1e-5  # largest error between torch and ONNX of a published policy, of the action range

logger = logging.getLogger(__name__)


class Exporter:
    """
    Exports the versions of one policy as ONNX files.

    Tracing takes seconds and is done once; each version replaces the weights by name, in less than
    a millisecond. The exporter has a copy of the policy, so that `verify` may run on another
    thread than training and `export`, as long as only one of the two runs at a time.

    `template`, a file that `export` wrote for a policy of the same architecture, saves the
    tracing; `verify` fails where the architecture differs.
    """

    def __init__(
        self, policy: nn.Module, contract: Contract, algorithm: str, run: str,
        template: bytes | None = None,
    ) -> None:
        self.policy = policy
        self.contract = contract
        self.noise_size = policy.noise_size
        self._generator = np.random.default_rng(0)
        self._copy = deepcopy(policy).eval().requires_grad_(False)
        if template is None:
            model = _trace(self._copy, len(contract.observation), self.noise_size)
        else:
            model = checked_model(template, 'template')
        self._tensors = self._copy.state_dict()
        present = {tensor.name for tensor in model.graph.initializer}
        for name, _ in self._copy.named_parameters():
            if name not in present:
                raise InvalidInput(f'the graph lacks the weights {name}; trace the policy again')
        del model.metadata_props[:]
        self._graph = model.SerializeToString()
        self._metadata = {
            'format': FORMAT,
            'contract': contract.to_json(),
            'contract_hash': contract.hash,
            'robot': contract.robot,
            'algorithm': algorithm,
            'run': run,
            'noise_correlation': repr(float(policy.noise_correlation)),
        }

    def export(self, version: int, training_steps: int) -> bytes:
        """Return the ONNX file of the policy's present weights, after `version` updates."""
        with torch.no_grad():
            for name, tensor in self.policy.state_dict().items():
                self._tensors[name].copy_(tensor)
        # A protobuf message does not free replaced fields, hence a new one.
        model = onnx.ModelProto.FromString(self._graph)
        for weights in model.graph.initializer:
            if weights.name in self._tensors:
                weights.raw_data = _bytes(self._tensors[weights.name])
        metadata = {
            **self._metadata,
            'version': str(version),
            'training_steps': str(training_steps),
            **self._vectors().write(),
        }
        onnx.helper.set_model_props(model, metadata)
        return model.SerializeToString()

    def verify(self, data: bytes, draws: int = 64) -> float:
        """
        Return the largest difference of torch and ONNX over `draws` actions, per action range.

        `data` is the last return value of `export`. Raise InvalidInput for more than PARITY.
        """
        loaded = OnnxPolicy(data, 'exported policy')
        observation, noise = self._inputs(draws)
        expected = self._act(observation, noise)
        actions = np.stack([
            loaded.act(*inputs)[0] for inputs in zip(observation, noise, strict=True)])
        span = np.subtract(self.contract.action_high, self.contract.action_low)
        error = float(np.max(np.abs(actions - expected) / span))
        if not error <= PARITY:
            raise InvalidInput(
                f'policy version {loaded.version} differs by {error:.2g} of the action range '
                f'between torch and onnxruntime, more than {PARITY:g}; it is not published'
            )
        return error

    def _vectors(self) -> TestVectors:
        observation, noise = self._inputs(TestVectors.NUMBER)
        return TestVectors((observation, noise, self._act(observation, noise)))

    def _inputs(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs around the observed data: half without noise, a quarter far outside."""
        normaliser = self._copy.normaliser
        draws = self._generator.standard_normal((number, len(self.contract.observation)))
        draws[number // 2:] *= 3.0
        draws[number * 3 // 4:] *= 4.0
        observation = normaliser.mean.numpy() + draws / normaliser.scale.numpy()
        noise = self._generator.standard_normal((number, self.noise_size))
        noise[::2] = 0.0
        return observation.astype(np.float32), noise.astype(np.float32)

    def _act(self, observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            result = self._copy(torch.from_numpy(observation), torch.from_numpy(noise))
        return (result[0] if isinstance(result, tuple) else result).numpy()


class _WeightsAsInputs(nn.Module):
    """A policy whose weights are inputs."""

    def __init__(self, policy: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.policy = policy
        self.names = names

    def forward(self, observation: Tensor, noise: Tensor, *weights: Tensor):
        tensors = dict(zip(self.names, weights, strict=True))
        return torch.func.functional_call(self.policy, tensors, (observation, noise))


def _trace(policy: nn.Module, observation_size: int, noise_size: int) -> onnx.ModelProto:
    """
    Return the graph of `policy` with a batch of one, its weights by their names.

    The exporter folds constants: it drops an addition of zeros and merges constants, which would
    be wrong for later weights. So the weights are inputs during the export and become
    initialisers afterwards.
    """
    weights = {
        name: tensor for name, tensor in policy.state_dict().items()
        if tensor.dtype == torch.float32
    }
    inputs = torch.zeros(1, observation_size), torch.zeros(1, noise_size)
    with torch.no_grad():
        outputs = policy(*inputs)
    names = ['action', 'log_prob'] if isinstance(outputs, tuple) else ['action']
    level = logging.getLogger('torch.onnx').level
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)  # it warns of each optional package
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            program = torch.onnx.export(
                _WeightsAsInputs(policy, list(weights)).eval(), (*inputs, *weights.values()),
                input_names=['observation', 'noise', *weights], output_names=names,
                opset_version=OPSET, dynamo=True, optimize=True, verbose=False,
                custom_translation_table={torch.ops.aten.softplus.default: _softplus})
    finally:
        logging.getLogger('torch.onnx').setLevel(level)
    model = program.model_proto
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    del graph.input[2:]
    for name, tensor in weights.items():
        if name in used:
            graph.initializer.append(onnx.numpy_helper.from_array(tensor.numpy(), name))
    # The exporter stores stack traces with local paths in each node.
    del graph.value_info[:]
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
    return model


def _softplus(values, beta: float = 1.0, threshold: float = 20.0):
    """
    Translate softplus to one operator, where torch's translation has three.

    Beyond `threshold` torch returns `values`, which equals softplus in float32.
    """
    from onnxscript import opset18

    if beta != 1.0 or threshold < 20.0:
        raise ValueError(
            f'softplus with beta {beta} and threshold {threshold} has no ONNX operator')
    return opset18.Softplus(values)


def _bytes(tensor: Tensor) -> bytes:
    return np.ascontiguousarray(tensor.numpy(), '<f4').tobytes()


def cached_exporter(
    path: Path, policy: nn.Module, contract: Contract, algorithm: str, run: str,
) -> Exporter:
    """
    Return an exporter from the graph cached in the file `path`.

    Where no cached graph fits, trace the policy, which takes seconds, and cache its graph.
    """
    try:
        exporter = Exporter(policy, contract, algorithm, run, template=path.read_bytes())
        exporter.verify(exporter.export(0, 0))
        return exporter
    except (OSError, InvalidInput):
        exporter = Exporter(policy, contract, algorithm, run)
    try:
        write_atomically(path, exporter.export(0, 0))
    except OSError as error:
        logger.warning('%s cannot be written (%s)', path, error.strerror)
    return exporter


def export_checkpoint(path: Path) -> tuple[OnnxPolicy, float]:
    """
    Return the policy of a checkpoint, or of a run's newest one, and its largest error.

    The error is between torch and ONNX, of the action range. Raise InvalidInput for a missing or
    corrupt checkpoint.
    """
    newest = None
    if not (path / checkpoint.STATE).is_file():
        newest = checkpoint.latest(path / 'checkpoints')
    saved = newest or checkpoint.load(path)
    state = saved.state
    contract = Contract.from_json(state['contract'])
    settings = settings_of(state['algorithm']).from_mapping(state['settings'])
    agent = make_agent(state['algorithm'], contract, settings)
    agent.load(saved.tensors)
    exporter = Exporter(agent.policy, contract, state['algorithm'], state['run'])
    data = exporter.export(saved.updates, state['transitions'])
    error = exporter.verify(data)
    return OnnxPolicy(data), error
