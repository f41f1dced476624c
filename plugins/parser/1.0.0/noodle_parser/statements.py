"""Statements and blocks."""

from __future__ import annotations

from typing import Any, Final

from hookspecs import ast
from hookspecs.ast import BUILTIN
from hookspecs.tokens import Token, TokenKind

from .cursor import SyntaxProblem
from .modules import Modules

_COMPOUND: Final = {"+=": "+", "-=": "-", "*=": "*", "/=": "/", "%=": "%", "**=": "**"}
_STEPS: Final = {"++": "+", "--": "-"}
_DECLARING: Final = frozenset(("let", "var", "const"))
#: Words that are names unless a name or a text follows them on their line.
_LATER: Final = frozenset(("type", "trait", "module", "package", "requires"))


class Statements(Modules):
    """The whole grammar: a file is statements."""

    def __init__(self, tokens: list[Token], file: str) -> None:
        super().__init__(tokens, file)
        #: How a Declare or Unpack is spelled, by its identity: ``let``, ``var``,
        #: ``const``, or ``=`` without one of them.
        self.spelling: dict[int, str] = {}
        self._blocks = 0

    def module(self) -> list[ast.Statement]:
        body: list[ast.Statement] = []
        self._statements(body, 0)
        while self.text == "}":
            # It closes nothing.
            self.start = self.index
            try:
                self.fail_expected("an expression")
            except SyntaxProblem:
                self.recover(self.index)
            self._statements(body, 0)
        return body

    def block(self) -> list[ast.Statement]:
        indent = self.indent_of_block()
        self.expect("{")
        self.enter()
        height, inside, start = self.height, self.inside, self.start
        self.height = self.inside = 0
        self._blocks += 1
        body: list[ast.Statement] = []
        self._statements(body, indent)
        self._blocks -= 1
        self.height = max(height, self.height + 3)
        self.inside, self.start = inside, start
        self.nesting -= 1
        self.close_block(indent)
        return body

    def _statements(self, body: list[ast.Statement], indent: int) -> None:
        """Read up to a closing brace, or to where one is missing."""
        highest = 0
        while self.kind is not TokenKind.END:
            if self.text == ";":
                self.take()
                continue
            if self.text == "}" and not self.is_extra_brace(indent):
                break
            if self.is_behind_block(indent):
                break
            start = self.start = self.index
            nesting, known, blocks = self.nesting, len(self.type_parameters), self._blocks
            self.height = 0
            try:
                self.statement(body)
                if not self.at_statement_end():
                    self.start = start
                    self.fail_expected('";" or a new line')
            except SyntaxProblem:
                self.nesting, self.inside, self._blocks = nesting, 0, blocks
                del self.type_parameters[known:]
                self.recover(start)
            highest = max(highest, self.height)
        self.height = highest

    # -- one statement -----------------------------------------------------

    def statement(self, into: list[ast.Statement]) -> None:
        token = self.tokens[self.index]
        if token.kind is TokenKind.KEYWORD:
            if token.text == "export":
                self._check_top_level(token)
                self.enter()
                self.export_statement(into)
                self.nesting -= 1
            elif token.text == "async":
                self.complain("not supported yet: async", self.take())
                self.enter()
                self.statement(into)
                self.nesting -= 1
            else:
                into.append(self._keyword_statement(token))
        elif token.text == "{":
            into.append(self._unpack("=") if self.behind_partner() == "=" else self._bare_block())
        elif token.text == "[" and self.behind_partner() == "=":
            into.append(self._unpack("="))
        elif token.kind is TokenKind.NAME and self._is_word_statement():
            into.append(self._word_statement(token))
        else:
            into.append(self._simple(token))

    def _keyword_statement(self, token: Token) -> ast.Statement:
        text = token.text
        line, column = token.line, token.column
        if text in _DECLARING:
            return self._declaration()
        if text == "if":
            return self._if()
        if text == "return":
            self.take()
            value = None if self.at_statement_end() else self.expression()
            return ast.Return(line, column, value)
        if text == "for":
            return self._for()
        if text == "while":
            self.take()
            return ast.While(line, column, self.value(), self.block())
        if (text == "function" or text == "def") and self.texts[self.index + 1] != "(":
            return self.function_declaration()
        if text == "break":
            self.take()
            return ast.Break(line, column)
        if text == "continue":
            self.take()
            return ast.Continue(line, column)
        if text == "throw":
            self.take()
            return ast.Throw(line, column, self.value())
        if text == "try":
            return self._try()
        if text == "do":
            return self._do()
        if text == "class":
            return self.class_declaration()
        if text == "struct":
            return self.struct_declaration()
        if text == "enum":
            return self.enum_declaration()
        if text == "import":
            self._check_top_level(token)
            return self.import_statement()
        if text in ("interface", "macro", "foreign", "with"):
            self.fail(f"not supported yet: {text}", token)
        return self._simple(token)

    def _check_top_level(self, token: Token) -> None:
        if self._blocks and self.brackets.braces_match:
            self.complain(f"{token.text} inside a block", token)

    def _is_word_statement(self) -> bool:
        follower = self.tokens[self.index + 1]
        if follower.kind is TokenKind.NAME and not follower.after_newline:
            return self.text == "error" or self.text in _LATER
        return (
            follower.kind is TokenKind.STRING and not follower.after_newline and self.text in _LATER
        )

    def _word_statement(self, token: Token) -> ast.Statement:
        if token.text != "error":
            self.fail(f"not supported yet: {token.text}", token)
        return self.class_declaration()

    def _simple(self, token: Token) -> ast.Statement:
        """An expression, or one that something is assigned to."""
        if self.texts[self.index + 1] == ":" and token.kind is TokenKind.NAME:
            return self._declared_name("=", self.take())
        target = self.expression()
        text = self.text
        if (
            (text == "=" or text in _COMPOUND or text in _STEPS)
            and self.follows_on_line()
            and isinstance(target, ast.Name | ast.Member | ast.Index)
            and not (isinstance(target, ast.Name) and target.name == "self")
        ):
            return self._assignment(target)
        return ast.ExpressionStatement(token.line, token.column, target)

    def _assignment(self, target: ast.Name | ast.Member | ast.Index) -> ast.Statement:
        token = self.take()
        text = token.text
        if text == "=":
            return ast.Assign(token.line, token.column, target, self.value())
        operator: Any
        value: ast.Expression
        if text in _STEPS:
            operator, value = _STEPS[text], ast.Literal(token.line, token.column, 1)
        else:
            operator, value = _COMPOUND[text], self.value()
        return ast.CompoundAssign(token.line, token.column, operator, target, value)

    def _bare_block(self) -> ast.Statement:
        token = self.token
        return ast.Block(token.line, token.column, self.block())

    # -- declarations of variables -----------------------------------------

    def _declaration(self) -> ast.Statement:
        keyword = self.take().text
        if self.text in ("{", "["):
            return self._unpack(keyword)
        return self._declared_name(keyword, self.expect_name())

    def _declared_name(self, keyword: str, name: Token) -> ast.Statement:
        type_ = self.annotation_behind_colon()
        value = None
        if self.accept("="):
            value = self.value()
        elif keyword == "const" or keyword == "=":
            self.fail_expected('"="')
        found = ast.Declare(name.line, name.column, name.text, BUILTIN, type_, value)
        self.spelling[id(found)] = keyword
        return found

    def _unpack(self, keyword: str) -> ast.Statement:
        bracket = self.take()
        closing = "]" if bracket.text == "[" else "}"
        self.inside += 1
        targets: list[ast.UnpackTarget] = []
        rest: ast.UnpackTarget | None = None
        while self.text != closing:
            if self.accept("..."):
                rest = self._target("")
                self.accept(",")
                break
            targets.append(self._target(closing))
            if not self.accept(","):
                break
        self.expect(closing)
        self.inside -= 1
        self.expect("=")
        found = ast.Unpack(
            bracket.line,
            bracket.column,
            "list" if closing == "]" else "object",
            targets,
            rest,
            self.value(),
        )
        self.spelling[id(found)] = keyword
        return found

    def _target(self, closing: str) -> ast.UnpackTarget:
        name = self.expect_name()
        key = name.text if closing == "}" else ""
        if key and self.accept(":"):
            name = self.expect_name()
        return ast.UnpackTarget(name.line, name.column, key, name.text, BUILTIN, False)

    # -- branches and loops ------------------------------------------------

    def _if(self) -> ast.Statement:
        first = self.token
        branches: list[ast.Branch] = []
        otherwise = None
        while True:
            keyword = self.take()
            condition = self.value()
            branches.append(ast.Branch(keyword.line, keyword.column, condition, self.block()))
            if self.text == "elif":
                continue
            if self.text != "else":
                break
            self.take()
            if self.text != "if":
                otherwise = self.block()
                break
        return ast.If(first.line, first.column, branches, otherwise)

    def _do(self) -> ast.Statement:
        self.take()
        body = self.block()
        keyword = self.expect("while")
        return ast.DoWhile(keyword.line, keyword.column, body, self.value())

    def _for(self) -> ast.Statement:
        keyword = self.take()
        is_open = self.accept("(")
        self.inside += is_open
        if self._is_for_in():
            return self._for_in(keyword, is_open)
        initial = None if self.text == ";" else self._part()
        self.expect(";")
        condition = None if self.text == ";" else self.expression()
        self.expect(";")
        step = None if self.text in (")", "{") else self._part()
        if is_open:
            self.expect(")")
            self.inside -= 1
        body = self.block()
        return ast.For(keyword.line, keyword.column, initial, condition, step, body)

    def _is_for_in(self) -> bool:
        """Whether names and ``in`` follow; anything else is the other kind of loop."""
        index = self.index + (self.text in _DECLARING)
        if self.tokens[index].kind is not TokenKind.NAME:
            return False
        if self.texts[index + 1] == "," and self.tokens[index + 2].kind is TokenKind.NAME:
            return True
        return self.texts[index + 1] not in ("=", ";", ":", "(", ".", "[", "++", "--", "+=", "-=")

    def _for_in(self, keyword: Token, is_open: bool) -> ast.Statement:
        if self.text in _DECLARING:
            self.take()
        names = [self._bound()]
        if self.accept(","):
            names.append(self._bound())
        self.expect("in")
        iterable = self.expression()
        if is_open:
            self.expect(")")
            self.inside -= 1
        return ast.ForIn(keyword.line, keyword.column, names, iterable, self.block())

    def _bound(self) -> ast.BindPattern:
        name = self.expect_name()
        self.annotation_behind_colon()
        return ast.BindPattern(name.line, name.column, name.text, BUILTIN)

    def _part(self) -> ast.Statement:
        """The first or the last part of a loop's head."""
        token = self.token
        return self._declaration() if token.text in _DECLARING else self._simple(token)

    # -- errors ------------------------------------------------------------

    def _try(self) -> ast.Statement:
        keyword = self.take()
        body = self.block()
        catches: list[ast.Catch] = []
        while self.text == "catch":
            catches.append(self._catch())
        final = self.block() if self.accept("finally") else None
        if not catches and final is None:
            self.fail_expected('"catch" or "finally"')
        return ast.Try(keyword.line, keyword.column, body, catches, final)

    def _catch(self) -> ast.Catch:
        """``catch (e)``, ``catch (Type e)``; the parentheses may be missing."""
        keyword = self.take()
        is_open = self.accept("(")
        self.inside += is_open
        name = self.expect_name()
        type_: ast.Expression | None = None
        if self.text == "." or self.kind is TokenKind.NAME:
            type_ = ast.Name(name.line, name.column, name.text, BUILTIN)
            while self.text == ".":
                dot = self.take()
                type_ = ast.Member(dot.line, dot.column, type_, self.expect_name().text)
                self.grow(dot)
            name = self.expect_name()
        if is_open:
            self.expect(")")
        self.inside -= is_open
        line, column = keyword.line, keyword.column
        return ast.Catch(line, column, type_, name.text, BUILTIN, self.block())

    # -- match -------------------------------------------------------------

    def match(self) -> ast.Expression:
        keyword = self.take()
        subject = self.expression()
        arms: list[ast.Arm] = []
        height, self.height = self.height, 0
        self.members(lambda: arms.append(self._arm()))
        self.height = max(height, self.height + 3)
        return ast.Match(keyword.line, keyword.column, subject, arms)

    def _arm(self) -> ast.Arm:
        place = self.expect("case")
        pattern = self.pattern()
        guard = None
        if self.text == "when":
            place = self.take()
            guard = self.operation()
        self.expect("=>")
        body: list[ast.Statement] = []
        result: ast.Expression | None = None
        if self.text == "{":
            body = self.block()
        else:
            self.statement(body)
            only = body[0] if len(body) == 1 else None
            if isinstance(only, ast.ExpressionStatement):
                body, result = [], only.value
        return ast.Arm(place.line, place.column, pattern, guard, body, result)
