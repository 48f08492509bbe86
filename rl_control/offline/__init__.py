# SPDX-License-Identifier: Apache-2.0
"""Offline training: load a dataset, train from it, evaluate and report the policy."""
