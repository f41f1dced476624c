"""Option and Result: enums that every program has."""

from __future__ import annotations

from typing import Final

from hookspecs.bytecode import ParameterKind

from .loaded import LoadedParameter
from .values import EnumType, EnumValue, Value, Variant


def _variant(enum: EnumType, name: str) -> Variant:
    variant = Variant(enum, name, True, [LoadedParameter("value", None, ParameterKind.REQUIRED)])
    enum.variants[name] = variant
    return variant


OPTION: Final = EnumType("Option", qualified=False)
SOME: Final = _variant(OPTION, "Some")
NONE: Final = EnumValue(Variant(OPTION, "None", False, []), [])
OPTION.variants["None"] = NONE
RESULT: Final = EnumType("Result", qualified=False)
SUCCESS: Final = _variant(RESULT, "Success")


def some(value: Value) -> EnumValue:
    return EnumValue(SOME, [value])
