# SPDX-License-Identifier: Apache-2.0
"""Run an offline training: load the data, train, export, evaluate and report."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
import json
from pathlib import Path
import shlex
from typing import Any

import numpy as np
import torch
import yaml

from rl_control.bags.dataset import Dataset, pieces
from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_atomically, write_json
from rl_control.config.base import Settings
from rl_control.config.offline import OfflineSettings
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.make import NamedRobot
from rl_control.learning.algorithms import settings_of, values_of
from rl_control.learning.export import Exporter
from rl_control.learning.run_identity import run_of
from rl_control.offline.fitted_q_evaluation import FittedSettings
from rl_control.offline.load_dataset import load_data, task_of, tuned_for
from rl_control.offline.off_policy_evaluation import evaluate_policy
from rl_control.offline.training import OfflineTraining, Show
from rl_control.policies.onnx_policy import OnnxPolicy

POLICY, REPORT, PARAMETERS = 'policy.onnx', 'report.json', 'parameters.yaml'
SECTIONS = ('offline', 'algorithm', 'sampling')


def prepare(
    settings: OfflineSettings, given: Mapping[str, Any], sampling: SamplingSettings,
) -> OfflineTraining:
    """
    Return a training with its data loaded; the same settings resume an earlier start.

    `given` are the user's parameters below `algorithm.`; they override those of the data's task.
    Raise InvalidInput for invalid settings or data, and where `out` cannot be written.
    """
    kind = settings_of(settings.algorithm)  # fails before the data is read
    values = values_of(settings.algorithm, given)
    torch.set_num_threads(settings.threads)
    out = Path(settings.out)
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
        robot = NamedRobot(settings.robot, settings.task)
        dataset = load_data(settings, sampling, robot)
        task = task_of(robot, dataset, settings.data)
        algorithm = kind.from_mapping({
            **values_of(settings.algorithm, tuned_for(settings, dataset.contract)), **values})
        name = run_of(out, 'offline', settings.algorithm, dataset.contract)
        training = OfflineTraining(settings, algorithm, dataset, name, task)
        _write_parameters(out / PARAMETERS, settings, algorithm, sampling)
        return training


def train(
    settings: OfflineSettings, given: Mapping[str, Any], sampling: SamplingSettings,
    show: Show, stopped: Callable[[], bool],
) -> dict[str, Any] | None:
    """Prepare a training and finish it, see `finish`."""
    return finish(prepare(settings, given, sampling), show, stopped)


def finish(
    training: OfflineTraining, show: Show, stopped: Callable[[], bool],
) -> dict[str, Any] | None:
    """
    Train, export and evaluate; write the report beside the policy and return it.

    Return None when `stopped` becomes true. `show(phase, figures)` is called to show progress.
    Raise InvalidInput where `out` cannot be written.
    """
    with _writing(Path(training.settings.out)):
        return _finish(training, show, stopped)


def _write_parameters(path: Path, *settings: Settings) -> None:
    """Write all settings of the training to one file of ROS 2 parameters."""
    values = {name: {key: value for key, value in each.to_mapping().items() if value != []}
              for name, each in zip(SECTIONS, settings, strict=True)}
    text = yaml.safe_dump({'/offline': {'ros__parameters': values}}, sort_keys=False)
    write_atomically(path, text.encode())


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Raise InvalidInput in place of an OSError, with the file that could not be written."""
    try:
        yield
    except OSError as error:
        raise InvalidInput(
            f'{error.filename or out} cannot be written ({error.strerror}); free some space, and '
            'the same command resumes') from error


def _finish(
    training: OfflineTraining, show: Show, stopped: Callable[[], bool],
) -> dict[str, Any] | None:
    settings, algorithm, dataset = training.settings, training.algorithm, training.dataset
    out = Path(settings.out)
    if not training.run(show, stopped):
        return None
    agent = training.agent
    exporter = Exporter(agent.policy, dataset.contract, settings.algorithm, training.name)
    data = exporter.export(agent.updates, len(dataset))
    report = {
        'algorithm': settings.algorithm,
        'run': training.name,
        'version': agent.updates,
        'seconds': training.seconds,
        'data': _facts(dataset, settings.data),
        'contract_hash': dataset.contract.hash,
        'parity_max_abs_error': exporter.verify(data),
    }
    OnnxPolicy(data).save(out / POLICY)
    if settings.evaluation_updates:
        evaluation = evaluate_policy(agent, dataset, FittedSettings(
            algorithm.gamma, settings.evaluation_updates, settings.evaluation_members,
            algorithm.seed), show, stopped)
        if evaluation is None:
            return None
        report['evaluation'] = evaluation
    write_json(out / REPORT, json.loads(json.dumps(report), parse_constant=lambda _: None))
    _write_page(out, report, training.curve, settings)
    return report


def _facts(dataset: Dataset, path: str) -> dict[str, Any]:
    """Return statistics of the data; the returns are those of complete episodes."""
    rows = dataset.rows
    ends = rows.terminated | rows.truncated
    returns = np.array([rows.reward[piece].sum() for piece in pieces(dataset)
                        if rows.step[piece[0]] == 0 and ends[piece[-1]]])
    facts = {
        'path': path,
        'digest': dataset.digest,
        'transitions': len(dataset),
        'episodes': len(returns),
        'mean_return': float(returns.mean()) if len(returns) else None,
        'return_deviation': float(returns.std()) if len(returns) else None,
    }
    recorded = dataset.report.get('episodes')
    if isinstance(recorded, Mapping) and 'training' in recorded:
        facts['success_rate'] = recorded['training']['success_rate']
    return facts


def _write_page(
    out: Path, report: dict[str, Any], curve: list[dict[str, float]], settings: OfflineSettings,
) -> None:
    from rl_control.report.curves import metric_curves, value_intervals  # matplotlib: a second
    from rl_control.report.page import write_page

    metric_curves(curve, out / 'curves.png')
    pictures = [out / 'curves.png']
    evaluation = report.get('evaluation')
    if evaluation:
        value_intervals(
            {name: evaluation[name] for name in ('behaviour', 'policy')}, out / 'values.png')
        pictures.append(out / 'values.png')
    command = shlex.join(['rl-control', 'offline', '--parameters', str(out / PARAMETERS)])
    write_page(
        out / 'report.html', f'{settings.algorithm}, from {Path(settings.data).name}',
        ' '.join(sentences(report)), {'Figures': report}, pictures, {'Run it again': command})


def sentences(report: dict[str, Any]) -> list[str]:
    """Return a summary of the report in sentences; warnings come last."""
    lines = [f'{report["version"]} updates of {report["algorithm"]} from '
             f'{report["data"]["transitions"]} transitions, in {report["seconds"]:.0f} s.']
    if report['data']['mean_return'] is not None:
        lines.append(
            f'The mean return of the data is {report["data"]["mean_return"]:.4g}, over '
            f'{report["data"]["episodes"]} episodes.')
    if evaluation := report.get('evaluation'):
        values = {name: _interval(evaluation[name]) for name in (
            'policy', 'behaviour', 'difference')}
        lines.append(
            f"By fitted Q evaluation the policy's value is {values['policy']} and the behaviour's "
            f'{values["behaviour"]}, discounted by {evaluation["gamma"]:g} a step: a difference '
            f'of {values["difference"]}.')
        lines += [f'Warning: {warning}' for warning in evaluation['warnings']]
    return lines


def _interval(estimate: Mapping[str, float]) -> str:
    return f'{estimate["value"]:.4g} ({estimate["low"]:.4g} to {estimate["high"]:.4g})'
