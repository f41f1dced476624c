"""Reference of expression.noodle: Python's own parser and hand-simplified trees."""

from __future__ import annotations

import ast

from noodle_values import Wrapped, out, text

SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "^"}
NAMES = {"x": 3.0, "y": 10.0}


def shown(node: ast.expr) -> str:
    if isinstance(node, ast.BinOp):
        return f"({shown(node.left)} {SIGNS[type(node.op)]} {shown(node.right)})"
    if isinstance(node, ast.UnaryOp):
        return f"-{shown(node.operand)}"
    return ast.unparse(node)


def num(value: float) -> Wrapped:
    return Wrapped("Expr.Num", (value,))


def main() -> None:
    for source in (
        "1 + 2 * 3",
        "(1 + 2) * 3",
        "2 ^ 3 ^ 2",
        "-x ^ 2",
        "8 / 4 / 2",
        "10 - 4 - 3",
        "2*x + y/4",
    ):
        tree = ast.parse(source.replace("^", "**"), mode="eval")
        value = float(eval(compile(tree, "", "eval"), dict(NAMES)))
        out(source, "=>", shown(tree.body), "=", value)
    out("1/0", "=>", "DivisionError", "division by zero")
    out("z + 1", "=>", "KeyError", 'no key "z" in the map')
    out("(1 + 2", "=> wrong:", "a ) is missing")
    out("1 +", "=> wrong:", "the end came too early")
    out("* 3", "=> wrong:", '"*" was not expected')
    out("1 2", "=> wrong:", '"2" is left over')
    out("x + x", "~", "(2 * x)")
    out("0 * x + 1 * y", "~", "y")
    out("--x", "~", "x")
    out("3 * (2 + 2) - 0", "~", "12")
    out("x ^ 1 + 0", "~", "x")
    out("d", "5", "=", "0")
    out("d", "x", "=", "1")
    out("d", "3 * x ^ 2 + 2 * x - 7", "=", "((3 * (2 * x)) + 2)")
    out("d", "x ^ 3", "=", "(3 * (x ^ 2))")
    out("d", "y * x", "=", "y")
    one_by_x = Wrapped("Expr.Op", ("/", num(1.0), Wrapped("Expr.Var", ("x",))))
    out(f"no arm fits {text(one_by_x)}")
    # Unary minus binds only what ^ binds.
    n = Wrapped("Expr.Var", ("n",))
    out(Wrapped("Expr.Op", ("*", Wrapped("Expr.Neg", (num(1.5),)), n)))


if __name__ == "__main__":
    main()
