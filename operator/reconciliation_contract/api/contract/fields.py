"""The types of the fields in our models, each with the bounds that the API server holds as well."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from reconciliation_contract.api.duration import (
    LONGEST,
    MAX_LENGTH,
    PATTERN,
    SHORTEST,
    format_duration,
    hint,
    parse_duration,
)
from reconciliation_contract.core.spec.contract import Minimum

TEXT_LENGTH: Final = 1024
"""Longest message of ours in the status, in characters."""
NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""A DNS subdomain, as the names of most Kubernetes objects."""
PERCENT: Final = r"^(100|[0-9]{1,2})%$"
MOST_REPLICAS: Final = 1_000_000
ATOMIC: Final[dict[str, Any]] = {"x-kubernetes-list-type": "atomic"}
"""Makes a list one value."""


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Write CEL rules with their messages as the schema carries them."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


def list_map(key: str) -> dict[str, Any]:
    """Make a list a map from ``key``: one item for each."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


@dataclass(frozen=True)
class Between:
    """A duration within bounds, both included; ``checked`` says whether the API server holds them too."""

    shortest: timedelta = SHORTEST
    longest: timedelta = LONGEST
    checked: bool = True

    def read(self, value: object) -> timedelta:
        """Read the duration; raises `InvalidDuration` with the bounds in the message."""
        return parse_duration(value, self.shortest, self.longest)

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema()
        written = core_schema.plain_serializer_function_ser_schema(format_duration, return_schema=text)
        return core_schema.no_info_plain_validator_function(self.read, serialization=written)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        plain: JsonSchemaValue = {"type": "string", "maxLength": MAX_LENGTH, "pattern": PATTERN}
        return plain | (rules((self._rule(), hint(self.shortest, self.longest))) if self.checked else {})

    def _rule(self) -> str:
        low, high = format_duration(self.shortest), format_duration(self.longest)
        # Without the match a text that is no duration is told as an error of the rule itself.
        match = f"self.matches(r'{PATTERN}')"
        return f"{match} && duration(self) >= duration('{low}') && duration(self) <= duration('{high}')"


@dataclass(frozen=True)
class _IntOrPercent:
    """A number from 0 on, or a percentage, as Kubernetes' own IntOrString."""

    def read(self, value: object) -> Minimum:
        """Read either; raises `ValueError` with the mend."""
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_REPLICAS:
            return Minimum(value)
        if isinstance(value, str) and re.fullmatch(PERCENT, value):
            return Minimum(int(value[:-1]), percent=True)
        message = f"write a number from 0 to {MOST_REPLICAS}, or a percentage such as 75%"
        raise ValueError(message)

    def write(self, minimum: Minimum) -> int | str:
        """Write either."""
        return str(minimum) if minimum.percent else minimum.value

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(self.write)
        return core_schema.no_info_plain_validator_function(self.read, serialization=written)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maximum": MOST_REPLICAS,
            "maxLength": 4,
            "pattern": PERCENT,
        }


AtLeast = Annotated[Minimum, _IntOrPercent()]
"""Replicas that a person asks for."""
Budget = Annotated[timedelta, Between()]
"""A duration that a person sets."""
Elapsed = Annotated[timedelta, Between(timedelta(0), timedelta.max, checked=False)]
"""A duration that was measured."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=NAME_PATTERN)]
Word = Annotated[str, StringConstraints(max_length=253)]
Text = Annotated[str, StringConstraints(max_length=TEXT_LENGTH)]
Revision = Annotated[str, StringConstraints(max_length=512)]
Path = Annotated[str, StringConstraints(max_length=4096)]
Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=0, json_schema_extra={"format": "int64"})]


def _wire_name(name: str) -> str:
    """Spell a field as Kubernetes does: ``sourceRef``, ``kustomizationUID``; ``from_`` is a keyword in Python."""
    return to_camel(name.rstrip("_")).replace("Uid", "UID")


class Wire(BaseModel):
    """A part of the custom resource. Unknown fields are ignored: a newer CRD may have them."""

    model_config = ConfigDict(
        alias_generator=_wire_name,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
        frozen=True,
        extra="ignore",
    )
