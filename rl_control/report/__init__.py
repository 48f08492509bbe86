# SPDX-License-Identifier: Apache-2.0
"""Reports: plots and pages of a run."""
