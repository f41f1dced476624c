"""What modules exchange: import and export."""

from __future__ import annotations

from hookspecs import ast
from hookspecs.ast import BUILTIN
from hookspecs.contracts.parser import Import, NamePlace
from hookspecs.tokens import Token, TokenKind

from .declarations import Declarations


class Modules(Declarations):
    """The part of the grammar that reads imports and exports."""

    def __init__(self, tokens: list[Token], file: str) -> None:
        super().__init__(tokens, file)
        self.imports: list[Import] = []
        self.exports: list[str] = []

    def statement(self, into: list[ast.Statement]) -> None:
        """Read one statement; see :class:`.statements.Statements`."""
        raise NotImplementedError

    def import_statement(self) -> ast.Statement:
        self.take()
        if self.accept("*"):
            self.expect("as")
            name = self.expect_name().text
            return self._import_module(self._from(), name)
        if self.text == "{":
            names = self._names()
            path = self._from()
            self._import(path, names)
            imported = [
                ast.ImportedName(here.line, here.column, there.text, here.text, BUILTIN)
                for there, here in names
            ]
            return ast.ImportNames(path.line, path.column, str(path.value), imported)
        path = self._path()
        if self.accept("as"):
            return self._import_module(path, self.expect_name().text)
        name = str(path.value).rsplit("/", 1)[-1].removesuffix(".noodle")
        if not name.isidentifier():
            self.fail_expected('"as" and a name')
        return self._import_module(path, name)

    def _import_module(self, path: Token, name: str) -> ast.Statement:
        self._import(path, [])
        return ast.ImportModule(path.line, path.column, str(path.value), name, BUILTIN)

    def export_statement(self, into: list[ast.Statement]) -> None:
        keyword = self.take()
        if self.accept("*"):
            path = self._from()
            text = str(path.value)
            self.imports.append(Import(text, path.line, path.column, [], exports_all=True))
            into.append(ast.ExportFrom(path.line, path.column, text, None))
            return
        if self.text == "{" and self.behind_partner() != "=":
            self._export_names(keyword, into)
            return
        first = len(into)
        self.statement(into)
        names = [
            ast.ExportedName(place.line, place.column, name, name, BUILTIN)
            for statement in into[first:]
            for name, place in _declared(statement)
        ]
        if not names:
            self.complain("export needs a declaration or names in braces", keyword)
        into.append(self._exported(keyword, names))

    def _export_names(self, keyword: Token, into: list[ast.Statement]) -> None:
        names = self._names()
        exported = [
            ast.ExportedName(here.line, here.column, there.text, here.text, BUILTIN)
            for here, there in names
        ]
        statement = self._exported(keyword, exported)
        if self.text == "from":
            path = self._from()
            self._import(path, names)
            into.append(ast.ExportFrom(path.line, path.column, str(path.value), exported))
        else:
            into.append(statement)

    def _exported(self, keyword: Token, names: list[ast.ExportedName]) -> ast.Statement:
        for name in names:
            if name.exported in self.exports:
                self.complain_at(
                    f'"{name.exported}" is already exported', name.line, name.column, len(name.name)
                )
            self.exports.append(name.exported)
        return ast.ExportNames(keyword.line, keyword.column, names)

    def _names(self) -> list[tuple[Token, Token]]:
        """``{ A, B as C }``: pairs of a name and what it is called from here on."""
        self.expect("{")
        self.inside += 1
        found: list[tuple[Token, Token]] = []
        while self.text != "}":
            name = self.expect_name()
            found.append((name, self.expect_name() if self.accept("as") else name))
            if not self.accept(","):
                break
        self.expect("}")
        self.inside -= 1
        return found

    def _from(self) -> Token:
        self.expect("from")
        return self._path()

    def _path(self) -> Token:
        if self.kind is not TokenKind.STRING or not self.follows_on_line():
            self.fail_expected("the path of a module")
        return self.take()

    def _import(self, path: Token, names: list[tuple[Token, Token]]) -> None:
        asked = [NamePlace(there.text, there.line, there.column) for there, _ in names]
        self.imports.append(Import(str(path.value), path.line, path.column, asked))


def _declared(statement: ast.Statement) -> list[tuple[str, ast.Node]]:
    match statement:
        case ast.FunctionDeclaration(function=function):
            return [(function.name, statement)]
        case ast.ClassDeclaration() | ast.StructDeclaration() | ast.EnumDeclaration():
            return [(statement.name, statement)]
        case ast.Declare():
            return [(statement.name, statement)]
        case ast.Assign(target=ast.Name() as target):
            return [(target.name, target)]
        case ast.Unpack():
            targets = [*statement.targets, *([statement.rest] if statement.rest else [])]
            return [(target.name, target) for target in targets]
    return []
