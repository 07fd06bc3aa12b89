"""Small faults that a source file could have: what `benchmarks.mutants` plants, one at a time."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARED = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
Node = ast.expr | ast.stmt
UNDIVIDED = (ast.Name, ast.Attribute, ast.Constant, ast.Call, ast.Subscript)  # need no parentheses beside an operator
COMPUTED = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.BitAnd: "|", ast.BitOr: "&"}


@dataclass(frozen=True, order=True)
class Mutation:
    """One change of one place: ``before`` in ``file`` (relative to the root) at ``start`` becomes ``after``; ``kind`` says what it is."""

    file: str
    line: int
    start: int
    end: int
    before: str
    after: str
    kind: str

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line} {self.kind}: {_short(self.before)} -> {_short(self.after)}"

    def applied(self, text: str) -> str:
        data = text.encode()
        assert data[self.start : self.end].decode() == self.before, f"{self.file} is not the text that was read"
        return (data[: self.start] + self.after.encode() + data[self.end :]).decode()


def mutations(file: str, text: str) -> list[Mutation]:
    """Every place of a file that can be changed, in order. Annotations, messages, docstrings, assertions and logging are none."""
    data = text.encode()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def span(node: Node) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    def source(node: Node) -> str:
        first, last = span(node)
        return data[first:last].decode()

    found = []
    for node in _judged(ast.parse(text)):
        first, last = span(node)
        for kind, after in _changes(node, source):
            found.append(Mutation(file, node.lineno, first, last, source(node), after, kind))
    return sorted(set(found))


def _changes(node: Node, source: Callable[[Node], str]) -> Iterator[tuple[str, str]]:

    def beside(node: ast.expr) -> str:
        return source(node) if isinstance(node, UNDIVIDED) else f"({source(node)})"

    match node:
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in COMPARED:
            yield "comparison", f"({beside(left)} {COMPARED[type(operator)]} {beside(right)})"
        case ast.BoolOp(op=operator, values=values):
            word = " or " if isinstance(operator, ast.And) else " and "
            yield "connective", f"({word.join(f'({source(value)})' for value in values)})"
            for left_out in range(len(values)):  # a guard that asks less
                kept = [f"({source(value)})" for number, value in enumerate(values) if number != left_out]
                yield "condition left out", f"({(' and ' if isinstance(operator, ast.And) else ' or ').join(kept)})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "negation", f"({source(operand)})"
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield "sign", f"(+{source(operand)})"
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in COMPUTED:
            yield "arithmetic", f"({beside(left)} {COMPUTED[type(operator)]} {beside(right)})"
        case ast.Constant(value=bool(value)):
            yield "switch", str(not value)
        case ast.Constant(value=int(value)):
            yield "number", str(value + 1)
        case ast.Constant(value=float(value)):
            yield "number", repr(value * 1.5 + 0.01)
        case ast.If(test=test, body=[*_], orelse=[]) if isinstance(node.body[-1], ast.Raise | ast.Return | ast.Continue):
            yield "guard removed", source(node).replace(source(test), "False", 1)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "nothing returned", "return None"
        case ast.Expr(value=ast.Call()):
            yield "call removed", "pass"


def _judged(tree: ast.Module) -> Iterator[Node]:
    """Nodes that decide something."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Raise() | ast.Assert() | ast.Import() | ast.ImportFrom() | ast.JoinedStr():
                continue
            case ast.Expr(value=ast.Constant()):
                continue
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "logging")))):
                continue
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.AnnAssign(value=value):
                waiting += [value] if value else []
                continue
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                waiting += [*node.body, *node.args.defaults, *filter(None, node.args.kw_defaults)]
                continue
            case ast.ClassDef():
                waiting += node.body
                continue
        if isinstance(node, ast.expr | ast.stmt):
            yield node
        waiting += ast.iter_child_nodes(node)


def files(root: Path, targets: tuple[str, ...]) -> list[str]:
    """The Python files of files and folders, relative to the root."""
    found: set[Path] = set()
    for target in targets:
        path = root / target
        found |= set(path.rglob("*.py")) if path.is_dir() else {path}
    return sorted(str(path.relative_to(root)) for path in found)


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 70 else f"{words[:67]}..."
