"""The part of a structural schema that our CRD uses, as the API server applies it. CEL is left to the real one."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

Schema = dict[str, Any]
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema with its path, the outermost first."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}".lstrip("."))
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if keyword in schema:
            yield from walk(schema[keyword], path + mark)


def defaulted(schema: Schema, value: Any) -> Any:
    """The value with defaults filled in: a parent's first, then those of its parts."""
    value = copy.deepcopy(value)
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if name not in value and "default" in child:
                value[name] = child["default"]
            if name in value:
                value[name] = defaulted(child, value[name])
    return value


def complaints(schema: Schema, value: Any, path: str = "") -> Iterator[str]:
    """What the API server would refuse, and fields it would prune."""
    if schema.get("x-kubernetes-int-or-string") and not isinstance(value, bool):
        schema = {**schema, "type": "string" if isinstance(value, str) else "integer"}
    if not isinstance(value, TYPES[schema["type"]]) or (schema["type"] == "integer" and isinstance(value, bool)):
        yield f"{path} is not of type {schema['type']}"
    elif isinstance(value, dict):
        yield from _object_complaints(schema, value, path)
    elif isinstance(value, list):
        yield from _list_complaints(schema, value, path)
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path} is {value}, not one of {schema['enum']}"
    elif isinstance(value, str):
        yield from _text_complaints(schema, value, path)
    elif not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{path} is out of bounds"


def _object_complaints(schema: Schema, value: dict[str, Any], path: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    yield from (f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value)
    if len(value) > schema.get("maxProperties", len(value)):
        yield f"{path} has too many entries"
    for name, child in value.items():
        found = known.get(name, others)
        if found is None:
            yield f"{path}.{name} is unknown"
        else:
            yield from complaints(found, child, f"{path}.{name}")


def _list_complaints(schema: Schema, value: list[Any], path: str) -> Iterator[str]:
    if len(value) > schema["maxItems"]:
        yield f"{path} is too long"
    keys = schema.get("x-kubernetes-list-map-keys", [])
    names = [tuple(item.get(key) for key in keys) for item in value if keys]
    if len(names) != len(set(names)):
        yield f"{path} has two items of the same {keys}"
    for number, item in enumerate(value):
        yield from complaints(schema["items"], item, f"{path}[{number}]")


def _text_complaints(schema: Schema, value: str, path: str) -> Iterator[str]:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{path} is too short or too long"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path} does not match {schema['pattern']}"
    if schema.get("format") == "date-time" and datetime.fromisoformat(value).tzinfo is None:
        yield f"{path} is not a time"
