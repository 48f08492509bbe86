# SPDX-License-Identifier: Apache-2.0
"""Word list: docstrings, messages, help texts and pages use the field's words, no dialect."""

import argparse
import ast
from collections.abc import Iterator
import importlib
from pathlib import Path
import re

from rl_control.cli import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ('README.md', 'CHANGELOG.rst', 'CONTRIBUTING.md', 'SECURITY.md')]
PAGES += sorted((ROOT / 'docs').rglob('*.md'))
SOURCES = sorted((ROOT / 'rl_control').rglob('*.py'))
DIALECT = re.compile(
    r'\b(nobody|whoever|anybody|somebody|(is|are) told|not taken(?! from)|hears?|heard|speaks?|'
    r'spoken|mend(s|ed|ing)?|amiss|taught|it is made of|(go|goes|gone) on from)\b',
    re.IGNORECASE)
# Names of before: the changelog alone may tell what was renamed.
FORMER = re.compile(r'\bexaminer|randomis|rl-control bench|\bRefused\b|algorithm\.speed')
RIDDLE = re.compile(r'(What|Who|Whose|Whom|Whether|Where|How|Never|Nobody|Say|Tell|Hear)\b')


def offences(place: str, text: str, former: bool = True) -> Iterator[str]:
    """Yield a line for each word of `text` that is not the field's."""
    for pattern in (DIALECT, FORMER) if former else (DIALECT,):
        for found in pattern.finditer(text):
            line = text.count('\n', 0, found.start()) + 1
            yield f'{place}:{line}: {found[0]!r} in {text.splitlines()[line - 1].strip()!r}'


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield (file and line, first line) of every docstring of the package."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                text = ast.get_docstring(node)
                if text:
                    line = node.body[0].lineno
                    yield f'{path.relative_to(ROOT)}:{line}', text.splitlines()[0]


def texts() -> Iterator[tuple[str, str]]:
    """Yield (file and line, text) of every string of the package: docstrings, messages, logs."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f'{path.relative_to(ROOT)}:{node.lineno}', node.value


def helps() -> Iterator[tuple[str, str]]:
    """Yield (command and option, text) of what `rl-control COMMAND --help` prints."""
    for name, about in COMMANDS.items():
        yield f'rl-control {name}', about
        parsers = [(name, argparse.ArgumentParser())]
        importlib.import_module(f'rl_control.cli.{name}').configure(parsers[0][1])
        for title, parser in parsers:
            for action in parser._actions:
                yield f'rl-control {title} {action.dest}', action.help or ''
                if isinstance(action, argparse._SubParsersAction):
                    for choice in action._choices_actions:
                        yield f'rl-control {title} {choice.dest}', choice.help or ''
                    parsers += [(f'{title} {key}', inner) for key, inner in action.choices.items()]


def test_pages_use_the_words_of_the_field() -> None:
    """Settings and graphs are on pages that test_reference.py holds to the code."""
    assert len(PAGES) > 30
    found = [line for page in PAGES for line in offences(
        str(page.relative_to(ROOT)), page.read_text(encoding='utf-8'),
        former=page.name != 'CHANGELOG.rst')]
    assert not found, '\n'.join(found)


def test_headlines_begin_with_the_thing() -> None:
    """A docstring says what a thing is or what a method returns, not a question about it."""
    assert len(list(docstrings())) > 1000
    found = [f'{place}: {line}' for place, line in docstrings() if RIDDLE.match(line)]
    assert not found, '\n'.join(found)


def test_strings_use_the_words_of_the_field() -> None:
    found = [line for place, text in texts() for line in offences(place, text)]
    assert not found, '\n'.join(found)


def test_help_uses_the_words_of_the_field() -> None:
    printed = list(helps())
    assert len(printed) > 60
    found = [line for place, text in printed for line in offences(place, text)]
    assert not found, '\n'.join(found)
