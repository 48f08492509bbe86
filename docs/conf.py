# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration of docs/: for `make docs`, and for rosdoc2 from a copy of this folder."""

from pathlib import Path
import re
import sys

ROOT = Path(__file__).parents[1]
IN_PLACE = (ROOT / 'package.xml').is_file()  # else rosdoc2 adds version, sources, changelog

project = 'rl_control'
copyright = 'the rl_control maintainers, Apache-2.0'
extensions = ['myst_parser', 'sphinx.ext.autodoc']
source_suffix = {'.md': 'markdown', '.rst': 'restructuredtext'}
exclude_patterns = ['_build']
if IN_PLACE:
    sys.path.insert(0, str(ROOT))
    release = re.findall(r"version='([\d.]+)'", (ROOT / 'setup.py').read_text())[0]
else:
    exclude_patterns += ['index.rst', 'changelog.rst', 'contributing.md']
myst_heading_anchors = 3
suppress_warnings = ['myst.xref_missing']  # links to files of the repository
html_theme = 'alabaster'
html_theme_options = {'page_width': '80rem', 'body_max_width': 'none'}  # tables are wide
# Imports of the public modules beside numpy and PyYAML; reading docstrings does not need them.
autodoc_mock_imports = ['google', 'onnx', 'onnxruntime', 'pybullet', 'safetensors']
