# SPDX-License-Identifier: Apache-2.0
"""Settings of a simulated arm that is never twice the same."""

from dataclasses import dataclass

from rl_control.config.base import Settings, setting


@dataclass(frozen=True)
class RandomizationSettings(Settings):
    """
    Ranges that are drawn from anew whenever a simulated arm is brought to a start pose.

    With all of them 0 nothing is changed. Tobin et al. 2017, "Domain randomization for
    transferring deep neural networks from simulation to the real world"; Peng et al. 2018,
    "Sim-to-real transfer of robotic control with dynamics randomization".
    """

    mass_range: float = setting(
        0.0, 'share by which the mass of each link may be more or less', low=0.0, high=0.9)
    damping_limit: float = setting(
        0.0, 'largest viscous friction of a joint', unit='N m s/rad', low=0.0, high=1000.0)
    latency_limit: float = setting(
        0.0, 'largest delay of the commands', unit='s', low=0.0, high=1.0)
    position_noise: float = setting(
        0.0, 'standard deviation of each measured joint position', unit='rad', low=0.0, high=1.0)
    velocity_noise: float = setting(
        0.0, 'standard deviation of each measured joint velocity', unit='rad/s', low=0.0,
        high=10.0)
    offset_limit: float = setting(
        0.0, 'largest error of the zero of a joint', unit='rad', low=0.0, high=0.5)
