"""Expressions, by precedence climbing.

From low to high: lambda, pipeline, ``||``, ``&&``, equality, comparison, sum,
product, unary, power, postfix.
"""

from __future__ import annotations

from typing import Any, Final

from hookspecs import ast
from hookspecs.ast import BUILTIN
from hookspecs.tokens import Token, TokenKind

from .patterns import INT_LIMIT, WORDS, Patterns

_PRECEDENCE: Final = {
    operator: level
    for level, operators in enumerate(
        (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/", "%")), 1
    )
    for operator in operators
}
_LITERALS: Final = frozenset((TokenKind.INT, TokenKind.FLOAT, TokenKind.STRING))
_POSTFIX: Final = frozenset(("(", ".", "[", "<"))
# What may stand between the angle brackets of type arguments, and how much of it:
# the search for their end must not take long in ``a < b < c < ...``.
_IN_TYPES: Final = frozenset("< > , . ? ( ) -> | null".split())
_MOST_TYPE_TOKENS: Final = 64
_NAME: Final = TokenKind.NAME


class Expressions(Patterns):
    """The part of the grammar that reads expressions."""

    # What other parts of the grammar do.

    def block(self) -> list[ast.Statement]:
        raise NotImplementedError

    def parameters(self) -> list[ast.Parameter]:
        raise NotImplementedError

    def match(self) -> ast.Expression:
        raise NotImplementedError

    # -- levels ------------------------------------------------------------

    def value(self) -> ast.Expression:
        """Read an expression that must begin on this line."""
        if not self.follows_on_line():
            self.fail_expected("an expression")
        return self.expression()

    def expression(self) -> ast.Expression:
        if self.text == "(":
            is_lambda = self.behind_partner() == "=>"
        else:
            is_lambda = self.texts[self.index + 1] == "=>" and self.kind is _NAME
        return self._lambda() if is_lambda else self.operation()

    def operation(self) -> ast.Expression:
        """Read an expression that is no lambda, as a guard in front of ``=>``."""
        height, self.height = self.height, 0
        self.enter()
        found = self._binary(1)
        if self.text == "|":
            found = self._pipeline(found)
        self.nesting -= 1
        self.height = max(height, self.height + 1)
        return found

    def _pipeline(self, left: ast.Expression) -> ast.Expression:
        while self.text == "|":
            bar = self.take()
            # What stands in parentheses is the function, even if it is a call.
            end = self.brackets.behind(self.index) if self.text == "(" else -1
            right = self._postfix()
            self.grow(bar)
            if isinstance(right, ast.Call) and self.index != end:
                arguments = [ast.Argument(left), *right.arguments]
                left = ast.Call(right.line, right.column, right.callee, arguments)
            else:
                left = ast.Call(bar.line, bar.column, right, [ast.Argument(left)])
        return left

    def _binary(self, lowest: int) -> ast.Expression:
        left = self._unary()
        while True:
            operator: Any = self.text
            precedence = _PRECEDENCE.get(operator)
            if precedence is None or precedence < lowest:
                return left
            token = self.tokens[self.index]
            if token.after_newline and not self.inside:
                return left
            self.take()
            right = self._binary(precedence + 1)
            self.grow(token)
            make = ast.Logical if precedence <= 2 else ast.Binary
            left = make(token.line, token.column, operator, left, right)

    def _unary(self) -> ast.Expression:
        text = self.text
        if text == "-" or text == "!":
            return self._signed()
        if text == "await":
            self.complain("not supported yet: await", self.take())
            self.enter()
            operand = self._unary()
            self.nesting -= 1
            return operand
        left = self._postfix()
        if self.text == "**" and self.follows_on_line():
            operator = self.take()
            self.enter()
            # Right associative, and its right side may have a sign.
            right = self._unary()
            self.nesting -= 1
            self.grow(operator)
            return ast.Binary(operator.line, operator.column, "**", left, right)
        return left

    def _signed(self) -> ast.Expression:
        token = self.take()
        number = self.tokens[self.index]
        if (
            number.value == INT_LIMIT
            and number.kind is TokenKind.INT
            and token.text == "-"
            and self.texts[self.index + 1] != "**"
        ):
            self.take()
            return ast.Literal(token.line, token.column, -INT_LIMIT)
        self.enter()
        operand = self._unary()
        self.nesting -= 1
        self.grow(token)
        operator: Any = token.text
        return ast.Unary(token.line, token.column, operator, operand)

    def _postfix(self) -> ast.Expression:
        token = self.tokens[self.index]
        kind = token.kind
        left: ast.Expression
        if kind is _NAME:
            self.index += 1
            self.text = self.texts[self.index]
            left = ast.Name(token.line, token.column, token.text, BUILTIN)
        elif kind in _LITERALS:
            self.index += 1
            self.text = self.texts[self.index]
            if token.value == INT_LIMIT:
                self.check_int(token)
            left = ast.Literal(token.line, token.column, token.value)
        else:
            left = self._primary(token)
        while self.text in _POSTFIX:
            text = self.text
            token = self.tokens[self.index]
            if text == ".":
                self.take()
                left = ast.Member(token.line, token.column, left, self._member_name())
            elif token.after_newline and not self.inside:
                break
            elif text == "(":
                left = ast.Call(token.line, token.column, left, self.arguments())
            elif text == "[":
                left = self._index(left)
            elif not isinstance(left, ast.Name | ast.Member) or not self._skip_type_arguments():
                break
            else:
                continue
            self.grow(token)
        return left

    def _member_name(self) -> str:
        # Behind a dot a reserved word cannot be anything else than a name.
        if self.kind is TokenKind.KEYWORD:
            return self.take().text
        return self.expect_name().text

    def arguments(self) -> list[ast.Argument]:
        """Read ``(a, ...b, name: c)``."""
        self.expect("(")
        self.inside += 1
        found: list[ast.Argument] = []
        is_named = False
        while self.text != ")":
            token = self.tokens[self.index]
            if self.texts[self.index + 1] == ":" and token.kind in (_NAME, TokenKind.KEYWORD):
                self.take()
                self.take()
                is_named = True
                found.append(ast.Argument(self.expression(), token.text))
            else:
                found.append(ast.Argument(self._item()))
                if is_named:
                    self.complain("positional argument after a named one", token)
            if not self.accept(","):
                break
        self.expect(")")
        self.inside -= 1
        return found

    def _item(self) -> ast.Expression:
        """An expression, or ``...expression``."""
        if self.text != "...":
            return self.expression()
        dots = self.take()
        return ast.Spread(dots.line, dots.column, self.expression())

    def _index(self, left: ast.Expression) -> ast.Expression:
        bracket = self.take()
        line, column = bracket.line, bracket.column
        self.inside += 1
        start = None if self.text == ":" else self.expression()
        found: ast.Expression
        if self.accept(":"):
            stop = None if self.text == "]" else self.expression()
            found = ast.Slice(line, column, left, start, stop)
        else:
            assert start is not None
            found = ast.Index(line, column, left, start)
        self.expect("]")
        self.inside -= 1
        return found

    def _skip_type_arguments(self) -> bool:
        """Pass over ``<int, List<T>>`` if a call follows; else it is a comparison."""
        depth = 0
        for index in range(self.index, min(self.index + _MOST_TYPE_TOKENS, len(self.tokens))):
            text = self.texts[index]
            if text == "<":
                depth += 1
            elif text == ">":
                depth -= 1
                if depth == 0:
                    if self.texts[index + 1] != "(" or self.tokens[index + 1].after_newline:
                        return False
                    self.go_to(index + 1)
                    return True
            elif text not in _IN_TYPES and self.tokens[index].kind is not _NAME:
                return False
        return False

    # -- the innermost level -----------------------------------------------

    def _primary(self, token: Token) -> ast.Expression:
        text = token.text
        line, column = token.line, token.column
        if text == "(":
            return self.parenthesized()
        if text == "[":
            return self._list()
        if text == "{":
            return self._map_or_set()
        if token.kind is TokenKind.TEMPLATE_START:
            return self._template()
        if text in WORDS:
            self.take()
            return ast.Literal(line, column, WORDS[text])
        if text == "self":
            self.take()
            return ast.Name(line, column, "self", BUILTIN)
        if text == "super":
            return self._super()
        if text == "new":
            return self._new()
        if text == "if":
            return self._conditional()
        if text == "match":
            return self.match()
        if text == "function" or text == "def":
            return self._anonymous()
        if text == "async":
            self.complain("not supported yet: async", self.take())
            return self.expression()
        if text == "yield":
            self.complain("not supported yet: yield", self.take())
            if self.at_statement_end() or text == ")":
                return ast.Literal(line, column, None)
            return self.expression()
        if text in ("interface", "macro", "foreign", "with"):
            self.fail(f"not supported yet: {text}", token)
        return self.fail_expected("an expression")

    def parenthesized(self) -> ast.Expression:
        self.expect("(")
        self.inside += 1
        found = self.expression()
        self.expect(")")
        self.inside -= 1
        return found

    def _super(self) -> ast.Expression:
        token = self.take()
        if self.text == "(":
            name = "constructor"
        else:
            self.expect(".")
            name = self._member_name()
        return ast.SuperMember(token.line, token.column, name, BUILTIN, BUILTIN)

    def _new(self) -> ast.Expression:
        token = self.take()
        name = self.expect_name()
        made: ast.Expression = ast.Name(name.line, name.column, name.text, BUILTIN)
        while self.text == ".":
            dot = self.take()
            made = ast.Member(dot.line, dot.column, made, self._member_name())
            self.grow(dot)
        if self.text == "<":
            self._skip_type_arguments()
        if self.text == "(" and self.follows_on_line():
            parenthesis = self.token
            return ast.Call(parenthesis.line, parenthesis.column, made, self.arguments())
        return ast.Call(token.line, token.column, made, [])

    def _template(self) -> ast.Expression:
        start = piece = self.take()
        parts: list[ast.Expression] = []
        self.inside += 1
        while True:
            if piece.value:
                parts.append(ast.Literal(piece.line, piece.column, piece.value))
            if piece.kind is TokenKind.TEMPLATE_END:
                break
            parts.append(self.expression())
            if self.kind not in (TokenKind.TEMPLATE_MIDDLE, TokenKind.TEMPLATE_END):
                self.fail_expected('"}"')
            piece = self.take()
        self.inside -= 1
        return ast.Template(start.line, start.column, parts)

    def _list(self) -> ast.Expression:
        bracket = self.take()
        self.inside += 1
        items: list[ast.Expression] = []
        while self.text != "]":
            items.append(self._item())
            if not self.accept(","):
                break
        self.expect("]")
        self.inside -= 1
        return ast.ListLiteral(bracket.line, bracket.column, items)

    def _map_or_set(self) -> ast.Expression:
        """``{}`` is the empty map."""
        brace = self.take()
        self.inside += 1
        entries: list[ast.MapEntry] = []
        items: list[ast.Expression] = []
        while self.text != "}":
            first = self.expression()
            if items or (not entries and self.text != ":"):
                items.append(first)
            else:
                self.expect(":")
                entries.append(ast.MapEntry(first, self.expression()))
            if not self.accept(","):
                break
        self.expect("}")
        self.inside -= 1
        if items:
            return ast.SetLiteral(brace.line, brace.column, items)
        return ast.MapLiteral(brace.line, brace.column, entries)

    def _conditional(self) -> ast.Expression:
        keyword = self.take()
        # In parentheses it ends with them: ``if (a) -1 else 1``.
        condition = self.parenthesized() if self.text == "(" else self.expression()
        then = self.expression()
        self.expect("else")
        otherwise = self.expression()
        return ast.Conditional(keyword.line, keyword.column, condition, then, otherwise)

    # -- functions ---------------------------------------------------------

    def _lambda(self) -> ast.Expression:
        token = self.token
        line, column = token.line, token.column
        if token.kind is _NAME:
            self.take()
            required = ast.ParameterKind.REQUIRED
            parameters = [ast.Parameter(line, column, token.text, BUILTIN, None, required, None)]
        else:
            parameters = self.parameters()
        self.expect("=>")
        body: list[ast.Statement]
        if self.text == "{":
            body = self.block()
        else:
            place = self.token
            self.enter()
            body = [ast.Return(place.line, place.column, self.expression())]
            self.nesting -= 1
            self.height += 3
        function = ast.Function(line, column, "<lambda>", parameters, None, BUILTIN, body)
        return ast.Lambda(line, column, function)

    def _anonymous(self) -> ast.Expression:
        """``function (a) { ... }`` as an expression."""
        token = self.take()
        line, column = token.line, token.column
        parameters = self.parameters()
        returns = self.annotation() if self.accept(":") or self.accept("->") else None
        function = ast.Function(
            line, column, "<lambda>", parameters, returns, BUILTIN, self.block()
        )
        return ast.Lambda(line, column, function)
