# SPDX-License-Identifier: Apache-2.0
"""How Sphinx makes a site of docs/: `make docs`."""

from pathlib import Path
import re

project = 'rl_control'
release = re.findall(
    r"version='([\d.]+)'", (Path(__file__).parents[1] / 'setup.py').read_text())[0]
copyright = 'the rl_control maintainers, Apache-2.0'
extensions = ['myst_parser', 'sphinx.ext.autodoc']
source_suffix = {'.md': 'markdown'}
exclude_patterns = ['_build']
myst_heading_anchors = 3
suppress_warnings = ['myst.xref_missing']  # links to files of the repository
html_theme = 'alabaster'
autodoc_mock_imports = ['rclpy', 'torch', 'pybullet', 'onnxruntime', 'onnx']
