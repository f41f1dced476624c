"""The syntax tree of a checked Noodle module.

**Places.** ``line`` and ``column`` of a node, from 1, are the place that an
error names which the node causes at run time: the operator of a binary
expression, the opening parenthesis of a call, the dot of a member, the opening
bracket of an index, the keyword of a statement. Names and literals stand where
they begin.

**Bindings.** The parser has resolved all names: a variable is a number, the
index of its :class:`Binding` in :attr:`Module.bindings`; BUILTIN stands for
the built-in function, class or value of that name. Two variables of one name
are two bindings. Whoever rewrites a tree need not know scopes; new bindings
are appended.

**What the parser has replaced**: a pipeline by a call; ``x++`` by a compound
assignment; ``new C()`` by a call; ``super(a)`` by a call of the member
``constructor`` of super; a lambda's single expression by a return; both
spellings of everything by one; a function, class, struct or enum that is
exported by its declaration and an :class:`ExportNames`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final
from typing import Literal as OneOf

import msgspec

#: In place of a binding: the name is built in.
BUILTIN: Final = -1


class Node(msgspec.Struct, frozen=True, array_like=True, tag=True, tag_field="node", gc=False):
    line: int
    column: int


class BindingKind(IntEnum):
    VARIABLE = 0
    CONST = 1
    FUNCTION = 2
    CLASS = 3
    STRUCT = 4
    ENUM = 5
    PARAMETER = 6
    LOOP = 7
    CATCH = 8
    PATTERN = 9
    IMPORT = 10
    SELF = 11
    #: A class as its own methods see it, whatever is assigned to its name.
    OWN_CLASS = 12


class Binding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One variable of the module or of one of its functions or blocks."""

    name: str
    kind: BindingKind


class Type(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An annotation: ``text`` as written; a value fits if it has one of ``names``.

    Type arguments are not in ``names``. No names at all: everything fits.
    """

    text: str
    names: list[str]


# Expressions


class Literal(Node, frozen=True):
    value: bool | int | float | str | None


class Template(Node, frozen=True):
    """Converted by ``str()`` and joined."""

    parts: list[Expression]


class Name(Node, frozen=True):
    name: str
    binding: int


class Spread(Node, frozen=True):
    """``...value``, only as an item of a list or as an argument."""

    value: Expression


class ListLiteral(Node, frozen=True):
    items: list[Expression]


class SetLiteral(Node, frozen=True):
    items: list[Expression]


class MapEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: Expression
    value: Expression


class MapLiteral(Node, frozen=True):
    entries: list[MapEntry]


class Unary(Node, frozen=True):
    operator: OneOf["-", "!"]
    operand: Expression


BinaryOperator = OneOf["+", "-", "*", "/", "%", "**", "==", "!=", "<", "<=", ">", ">="]


class Binary(Node, frozen=True):
    operator: BinaryOperator
    left: Expression
    right: Expression


class Logical(Node, frozen=True):
    """Evaluates ``right`` only if it must."""

    operator: OneOf["&&", "||"]
    left: Expression
    right: Expression


class Conditional(Node, frozen=True):
    """``if (condition) then else otherwise``, as an expression."""

    condition: Expression
    then: Expression
    otherwise: Expression


class Argument(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """``name`` is empty for positional arguments; named ones come last."""

    value: Expression
    name: str = ""


class Call(Node, frozen=True):
    callee: Expression
    arguments: list[Argument]


class Member(Node, frozen=True):
    object: Expression
    name: str


class SuperMember(Node, frozen=True):
    """A method of the parent of ``own_class`` (an OWN_CLASS binding), bound to ``receiver``."""

    name: str
    own_class: int
    receiver: int


class Index(Node, frozen=True):
    object: Expression
    index: Expression


class Slice(Node, frozen=True):
    object: Expression
    start: Expression | None
    stop: Expression | None


class ParameterKind(IntEnum):
    REQUIRED = 0
    OPTIONAL = 1  # null, or its default, if not given
    VARIADIC = 2  # the list of the remaining arguments; the last one


class Parameter(Node, frozen=True):
    """Of a function, or a field of a struct or variant: those have no ``binding`` (BUILTIN)."""

    name: str
    binding: int
    type: Type | None
    kind: ParameterKind
    default: Expression | None


class Function(Node, frozen=True):
    """Stands at its name; a lambda's name is ``<lambda>``, a method's is ``Class.method``.

    ``receiver`` is the SELF binding of a method, BUILTIN for other functions.
    ``body`` is None for a method without one: calling it is an error.
    """

    name: str
    parameters: list[Parameter]
    returns: Type | None
    receiver: int
    body: list[Statement] | None


class Lambda(Node, frozen=True):
    function: Function


class Arm(Node, frozen=True):
    """Runs ``body``; the value of the match is then ``result``, or null."""

    pattern: Pattern
    guard: Expression | None
    body: list[Statement]
    result: Expression | None


class Match(Node, frozen=True):
    subject: Expression
    arms: list[Arm]


# Patterns


class LiteralPattern(Node, frozen=True):
    value: bool | int | float | str | None


class WildcardPattern(Node, frozen=True):
    pass


class BindPattern(Node, frozen=True):
    name: str
    binding: int


class ConstructorPattern(Node, frozen=True):
    """``constructor`` is a name or a member: ``Some(x)``, ``None``, ``Color.Red``."""

    constructor: Expression
    arguments: list[Pattern]


class ListPattern(Node, frozen=True):
    """``rest`` binds, or ignores, the remaining items; None if there may be none."""

    items: list[Pattern]
    rest: BindPattern | WildcardPattern | None


class FieldPattern(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: str
    pattern: Pattern


class ObjectPattern(Node, frozen=True):
    fields: list[FieldPattern]


# Statements


class ExpressionStatement(Node, frozen=True):
    value: Expression


class Declare(Node, frozen=True):
    """Gives ``binding`` its first value, in each execution anew; null without ``value``."""

    name: str
    binding: int
    type: Type | None
    value: Expression | None


class Assign(Node, frozen=True):
    target: Name | Member | Index
    value: Expression


class CompoundAssign(Node, frozen=True):
    """``target operator= value``; the parts of the target are evaluated once."""

    operator: BinaryOperator
    target: Name | Member | Index
    value: Expression


class UnpackTarget(Node, frozen=True):
    """``key`` is the field that ``{key: name}`` reads, empty in lists.

    ``declares`` is as for Declare; otherwise it is assigned to.
    """

    key: str
    name: str
    binding: int
    declares: bool


class Unpack(Node, frozen=True):
    """``[a, b, ...rest] = value`` or ``{a, b, ...rest} = value``; stands at the bracket."""

    form: OneOf["list", "object"]
    targets: list[UnpackTarget]
    rest: UnpackTarget | None
    value: Expression


class Block(Node, frozen=True):
    body: list[Statement]


class Branch(Node, frozen=True):
    """Stands at ``if`` (also that of ``else if``) or ``elif``."""

    condition: Expression
    body: list[Statement]


class If(Node, frozen=True):
    branches: list[Branch]
    otherwise: list[Statement] | None


class While(Node, frozen=True):
    condition: Expression
    body: list[Statement]


class DoWhile(Node, frozen=True):
    """Stands at ``while``. The condition does not see the names of the body."""

    body: list[Statement]
    condition: Expression


class For(Node, frozen=True):
    """``for (initial; condition; step)``; its variables are copied before each step."""

    initial: Statement | None
    condition: Expression | None
    step: Statement | None
    body: list[Statement]


class ForIn(Node, frozen=True):
    """One or two names; two take a map's keys and values, or the pairs of anything else."""

    names: list[BindPattern]
    iterable: Expression
    body: list[Statement]


class Break(Node, frozen=True):
    pass


class Continue(Node, frozen=True):
    pass


class Return(Node, frozen=True):
    value: Expression | None


class Throw(Node, frozen=True):
    value: Expression


class Catch(Node, frozen=True):
    """``type`` names an error class; without it every error is caught."""

    type: Expression | None
    name: str
    binding: int
    body: list[Statement]


class Try(Node, frozen=True):
    body: list[Statement]
    catches: list[Catch]
    final: list[Statement] | None


class FunctionDeclaration(Node, frozen=True):
    """Has its value from the beginning of the block that it stands in."""

    binding: int
    function: Function


class Field(Node, frozen=True):
    name: str
    is_private: bool
    type: Type | None
    value: Expression | None


class Method(Node, frozen=True):
    name: str
    is_private: bool
    is_static: bool
    function: Function


class ClassDeclaration(Node, frozen=True):
    """``receiver`` is the SELF binding that the field values see.

    ``own_class`` is BUILTIN if no method uses super. The parent of
    ``error X extends Y`` is Y, or else the built-in ``Error``.
    """

    name: str
    binding: int
    own_class: int
    parent: Expression | None
    receiver: int
    fields: list[Field]
    constructor: Function | None
    methods: list[Method]


class StructDeclaration(Node, frozen=True):
    name: str
    binding: int
    fields: list[Parameter]


class Variant(Node, frozen=True):
    """``has_payload`` tells ``Empty()`` from ``Empty``."""

    name: str
    has_payload: bool
    fields: list[Parameter]


class EnumDeclaration(Node, frozen=True):
    name: str
    binding: int
    variants: list[Variant]


class ImportModule(Node, frozen=True):
    """``import "path" as name``; stands at the path, as all statements with one do."""

    path: str
    name: str
    binding: int


class ImportedName(Node, frozen=True):
    exported: str
    name: str
    binding: int


class ImportNames(Node, frozen=True):
    path: str
    names: list[ImportedName]


class ExportedName(Node, frozen=True):
    """``binding`` is BUILTIN if it comes from another module, with ``name`` there."""

    exported: str
    name: str
    binding: int


class ExportNames(Node, frozen=True):
    names: list[ExportedName]


class ExportFrom(Node, frozen=True):
    """``names`` is None for ``export * from "path"``."""

    path: str
    names: list[ExportedName] | None


Pattern = (
    LiteralPattern
    | WildcardPattern
    | BindPattern
    | ConstructorPattern
    | ListPattern
    | ObjectPattern
)

Expression = (
    Literal
    | Template
    | Name
    | Spread
    | ListLiteral
    | SetLiteral
    | MapLiteral
    | Unary
    | Binary
    | Logical
    | Conditional
    | Call
    | Member
    | SuperMember
    | Index
    | Slice
    | Lambda
    | Match
)

Statement = (
    ExpressionStatement
    | Declare
    | Assign
    | CompoundAssign
    | Unpack
    | Block
    | If
    | While
    | DoWhile
    | For
    | ForIn
    | Break
    | Continue
    | Return
    | Throw
    | Try
    | FunctionDeclaration
    | ClassDeclaration
    | StructDeclaration
    | EnumDeclaration
    | ImportModule
    | ImportNames
    | ExportNames
    | ExportFrom
)


class Module(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One source file. Exports stand as statements at the top level of ``body``.

    The top-level variables are all that ``export`` can name.
    """

    file: str
    body: list[Statement]
    bindings: list[Binding]
