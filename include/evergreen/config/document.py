"""Parses YAML into plain data, with the line of every key.

Stricter than `yaml.safe_load`, because a config that means something else than it says is worse than one that fails:
duplicate keys, merge keys, foreign tags and words that YAML 1.1 alone reads as booleans, octal or base-60 numbers are
problems. `1e-3` and `-.5` are numbers here, as in YAML 1.2 (PyYAML makes them text).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from include.evergreen.config.wording import shown

if TYPE_CHECKING:  # the two have the same interface; mypy takes one base class alone
    from yaml import SafeLoader as _BaseLoader
else:
    _BaseLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Key = tuple[Any, ...]
"""Where a value lies: mapping keys and list positions, from the top."""

_MAX_BYTES = 1_000_000  # a thousand features take about 100 kB
_MAX_DEPTH = 50  # ours need 6; libyaml's composer overflows the C stack at about 100,000 and kills the process
_MAX_VALUES = 50_000  # after aliases are written out: what stops a "billion laughs"

_YAML = "tag:yaml.org,2002:"
_KINDS = {
    _YAML + "null": "null",
    _YAML + "bool": "boolean",
    _YAML + "int": "whole number",
    _YAML + "float": "number",
    _YAML + "timestamp": "date",
    _YAML + "str": "text",
}
_NUMBER = re.compile(r"[-+]?((\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)")
_AMBIGUOUS = {
    _YAML + "bool": (re.compile(r"(?i)yes|no|on|off"), "write true or false"),
    _YAML + "int": (re.compile(r"[-+]?0[0-9_]+|.*:.*"), "write a plain decimal number"),
    _YAML + "float": (re.compile(r".*:.*"), "write a plain decimal number"),
    _YAML + "str": (re.compile(r"[-+]?0[0-9]+"), "write a plain decimal number"),  # 08 and 09 are not octal
}


@dataclass(frozen=True)
class Problem:
    """Something that is wrong in a YAML file: at which key and line (from 1), and what, with what to do about it."""

    key: Key
    line: int
    text: str


class Unreadable(Exception):
    """The text as a whole cannot be read.

    :param text: what is wrong, and what to do about it; without the file's name, which the loader adds
    :param line: the line to blame, from 1; None when none is
    """

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


@dataclass
class Document:
    """A file's data, the line of each key (1-based), and what was wrong with the YAML itself."""

    data: dict[Any, Any] = field(default_factory=dict)
    lines: dict[Key, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: set[Key] = field(default_factory=set)
    """Keys whose value could not be read; None stands in its place, and nothing else should be said of it."""

    def line(self, key: Key) -> int:
        """Find the line to blame for a key.

        :param key: a key of the file, or one that it should have
        :returns: its line, or that of the nearest thing around it that the file has, from 1
        """
        while key not in self.lines and key:
            key = key[:-1]
        return self.lines.get(key, 1)


def read_document(path: Path) -> Document:
    """Read the YAML mapping in a file, with the line of each key.

    :param path: of the YAML file, of at most 1 MB
    :returns: the data, with what is wrong in single places under ``problems``
    :raises Unreadable: there is no such file, or it is not a YAML mapping in UTF-8
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise Unreadable("there is no such file; create it") from None
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror}); check the path and its permissions") from error
    return parse_document(content)


def parse_document(content: bytes) -> Document:
    """As `read_document`, of a file's content.

    :param content: the file's bytes, in UTF-8, with or without a byte order mark
    :returns: the data, with what is wrong in single places under ``problems``
    :raises Unreadable: it is too large, nested too deeply, or not a YAML mapping in UTF-8
    """
    if len(content) > _MAX_BYTES:
        raise Unreadable(f"has {len(content)} bytes, of at most {_MAX_BYTES}; split it or shorten it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        bad_line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8", bad_line) from None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise Unreadable("is empty; it needs a mapping of keys to values")
        if not isinstance(root, yaml.MappingNode):
            raise Unreadable("must be a mapping of keys to values at its top level", _line(root))
        return _Builder(loader).build(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reasons = ", ".join(filter(None, (error.context, error.problem)))
        message = " ".join(f"not valid YAML: {reasons}; correct the syntax here or just above".split())
        raise Unreadable(message, mark.line + 1 if mark else None) from error
    except yaml.reader.ReaderError as error:
        # error.position counts bytes or characters, as libyaml or Python did the reading
        control = yaml.reader.Reader.NON_PRINTABLE.search(text)
        line = text.count("\n", 0, control.start()) + 1 if control else None
        raise Unreadable(f"not valid YAML: {error.reason}; remove the character", line) from error


class _Loader(_BaseLoader):
    """Composes nodes, and stops at a depth that would overflow the stack."""

    depth = 0

    def descend_resolver(self, current_node: yaml.Node | None, current_index: Any) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _too_deep(_line(current_node) if current_node is not None else None)

    def ascend_resolver(self) -> None:
        self.depth -= 1


class _Builder:
    """Nodes to plain data. Every alias is written out as a copy of its own, up to _MAX_VALUES.

    :param loader: that of the same text, which makes values of its scalars
    """

    def __init__(self, loader: _Loader) -> None:
        self._loader = loader
        self._document = Document()
        self._values = 0

    def build(self, root: yaml.MappingNode) -> Document:
        self._document.data = self._value(root, ())
        return self._document

    def _value(self, node: yaml.Node, key: Key) -> Any:
        self._values += 1
        if self._values > _MAX_VALUES:
            text = f"has more than {_MAX_VALUES} values once its aliases (*) are written out; shorten it"
            raise Unreadable(text, _line(node))
        if len(key) > _MAX_DEPTH:  # an alias to something around itself never ends
            raise _too_deep(_line(node))
        self._document.lines.setdefault(key, _line(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, key)
        if isinstance(node, yaml.MappingNode) and node.tag == _YAML + "map":
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode) and node.tag == _YAML + "seq":
            return [self._value(item, (*key, index)) for index, item in enumerate(node.value)]
        return self._refuse(key, node, _foreign(node))

    def _mapping(self, node: yaml.MappingNode, around: Key) -> dict[Any, Any]:
        data: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _YAML + "merge":
                self._blame((*around, "<<"), key_node, "merge keys are not allowed; write the keys out")
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._blame(around, key_node, "a key must be text, not a list or a mapping")
                continue
            problems_before = len(self._document.problems)
            name = self._scalar(key_node, around)
            if len(self._document.problems) > problems_before:
                continue
            key = (*around, name)
            if name in data:
                first = f"first given on line {self._document.lines[key]}"
                self._blame(key, key_node, f"duplicate key {shown(name)}; {first}, keep one of them")
                continue
            self._document.lines[key] = _line(key_node)
            data[name] = self._value(value_node, key)
        return data

    def _scalar(self, node: yaml.ScalarNode, key: Key) -> Any:
        if node.tag not in _KINDS:
            return self._refuse(key, node, _foreign(node))
        pattern, instead = _AMBIGUOUS.get(node.tag, (None, ""))
        if pattern and not node.style and pattern.fullmatch(node.value):
            text = f"{node.value} without quotes can be read in two ways; {instead}, or '{node.value}' for text"
            return self._refuse(key, node, text)
        if node.tag == _YAML + "str":
            return float(node.value) if not node.style and _NUMBER.fullmatch(node.value) else node.value
        try:
            return self._loader.construct_object(node)
        except (ValueError, OverflowError) as error:
            return self._refuse(key, node, f"{shown(node.value)} is not a {_KINDS[node.tag]}: {error}")

    def _refuse(self, key: Key, node: yaml.Node, text: str) -> None:
        self._document.unread.add(key)
        self._blame(key, node, text)

    def _blame(self, key: Key, node: yaml.Node, text: str) -> None:
        self._document.problems.append(Problem(key, _line(node), text))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _foreign(node: yaml.Node) -> str:
    return f"tag {node.tag.replace(_YAML, '!!')!r} is not allowed; write a plain value, list or mapping"


def _too_deep(line: int | None) -> Unreadable:
    return Unreadable(f"is nested deeper than {_MAX_DEPTH} levels, or holds an alias (*) to what is around it", line)
