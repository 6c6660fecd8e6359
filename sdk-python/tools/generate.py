"""Writes the modules that come from `schema/`; with `--check` it only says whether they are fresh."""

from __future__ import annotations

import json
import keyword
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
SCHEMA = HERE.parent / "schema"
PACKAGE = HERE / "python" / "arqonbus"
NOTE = "Generated from `schema/` by `sdk-python/tools/generate.py`; do not edit."


def main() -> int:
    """Writes or checks every generated module."""
    wanted = {"_codes.py": codes(), "wire.py": wire()}
    stale = [name for name, text in wanted.items() if not _is(PACKAGE / name, text)]
    if "--check" in sys.argv:
        for name in stale:
            print(f"stale: {PACKAGE / name}\nrepair: python sdk-python/tools/generate.py", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (PACKAGE / name).write_text(wanted[name], encoding="utf-8")
    return 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def codes() -> str:
    """One exception class for each error code."""
    table: list[dict[str, Any]] = json.loads((SCHEMA / "codes.json").read_text(encoding="utf-8"))["errors"]
    names = {entry["code"]: class_name(entry["code"]) for entry in table}
    exported = ",\n".join(f'    "{name}"' for name in sorted(["ErrorCode", "BY_CODE", *names.values()]))
    literals = "\n".join(f'    "{code}",' for code in names)
    parts = [
        f'"""{NOTE}\n\nOne exception for each error code of the protocol.\n"""\n',
        "from __future__ import annotations\n",
        "from typing import Literal, TypeAlias\n",
        "from ._outcomes import Rejected\n",
        f"__all__ = [\n{exported},\n]\n",
        f"ErrorCode: TypeAlias = Literal[\n{literals}\n]\n\n",
    ]
    parts += [f"class {names[entry['code']]}(Rejected):\n{doc(entry['summary'], 4)}\n\n" for entry in table]
    pairs = "\n".join(f'    "{code}": {name},' for code, name in names.items())
    parts.append(f"BY_CODE: dict[str, type[Rejected]] = {{\n{pairs}\n}}")
    return "\n".join(parts) + "\n"


def class_name(code: str) -> str:
    """The class of a code: `no_responder` is `NoResponder`."""
    return "".join(word.capitalize() for word in code.split("_")).replace("Json", "JSON")


def doc(text: str, indent: int) -> str:
    """A docstring that fits the line."""
    pad = " " * indent
    text = " ".join(text.split())
    lines = textwrap.wrap(text, 112 - indent)
    if len(lines) == 1:
        return f'{pad}"""{lines[0]}"""'
    first, *rest = lines
    return "\n".join([f'{pad}"""{first}', *(f"{pad}{line}" for line in rest), f'{pad}"""'])


def wire() -> str:
    """A `TypedDict` for each envelope, result and event of the wire."""
    schema: dict[str, Any] = json.loads((SCHEMA / "arqonbus.schema.json").read_text(encoding="utf-8"))
    definitions: dict[str, Any] = schema["$defs"]
    exported = ",\n".join(f'    "{name}"' for name in sorted(definitions))
    parts = [f'"""{NOTE}\n\nThe wire as types: envelopes, arguments, results and events.\n"""\n']
    parts += ["from __future__ import annotations\n", IMPORTS, f"__all__ = [\n{exported},\n]\n\n"]
    parts += [definition(name, definitions[name]) for name in in_order(definitions)]
    return "\n".join(parts).rstrip("\n") + "\n"


IMPORTS = """import sys
from typing import Any, Literal, TypeAlias, TypedDict

if sys.version_info >= (3, 11):
    from typing import NotRequired
else:
    from typing_extensions import NotRequired
"""


def in_order(definitions: dict[str, Any]) -> list[str]:
    """The names, so that an alias comes after what it is an alias of."""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in order:
            if not is_object(definitions[name]):
                for other in re.findall(r"[A-Za-z]+", kind(definitions[name])):
                    if other in definitions and other != name:
                        visit(other)
            order[name] = None

    for name in sorted(definitions):
        visit(name)
    return list(order)


def is_object(body: dict[str, Any]) -> bool:
    """Whether a definition is a `TypedDict`."""
    return "properties" in body


def definition(name: str, body: dict[str, Any]) -> str:
    """One definition as Python."""
    if not is_object(body):
        text = " ".join(str(body.get("description", name)).split())
        return f"{name}: TypeAlias = {wrapped(kind(body))}\n{doc(text, 0)}\n"
    required = set(body.get("required", []))
    members: dict[str, Any] = body["properties"]
    if any(keyword.iskeyword(member) for member in members):
        return functional(name, body, required)
    lines = [f"class {name}(TypedDict):", doc(str(body.get("description", f"{name}.")), 4), ""]
    for member, what in members.items():
        annotation = kind(what)
        if annotation == "None":
            # Only the other side may set it.
            continue
        lines.append(f"    {member}: {annotation if member in required else f'NotRequired[{annotation}]'}")
        described = what.get("description") if isinstance(what, dict) else None
        if described:
            lines.append(doc(described, 4))
    return "\n".join(lines) + "\n\n"


def functional(name: str, body: dict[str, Any], required: set[str]) -> str:
    """A `TypedDict` with a member that is a keyword of Python."""
    lines = [f"{name} = TypedDict(", f'    "{name}",', "    {"]
    for member, what in body["properties"].items():
        annotation = json.dumps(kind(what))
        lines.append(f'        "{member}": {annotation if member in required else f"NotRequired[{annotation}]"},')
    return "\n".join([*lines, "    },", ")", doc(str(body.get("description", f"{name}.")), 0)]) + "\n\n"


PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def kind(body: Any) -> str:
    """The annotation for a schema."""
    if body is True or not isinstance(body, dict):
        return "Any"
    if "$ref" in body:
        return str(body["$ref"]).rsplit("/", 1)[-1]
    if "const" in body:
        return f"Literal[{literal(body['const'])}]"
    if "enum" in body:
        return f"Literal[{', '.join(literal(value) for value in body['enum'])}]"
    for union in ("oneOf", "anyOf"):
        if union in body:
            return joined([kind(part) for part in body[union]])
    if "allOf" in body and len(body["allOf"]) == 1:
        return kind(body["allOf"][0])
    return by_type(body)


def joined(kinds: list[str]) -> str:
    """A union; its literals become one."""
    values = [one[len("Literal[") : -1] for one in kinds if one.startswith("Literal[")]
    others = [one for one in kinds if not one.startswith("Literal[")]
    return " | ".join(dict.fromkeys([*([f"Literal[{', '.join(values)}]"] if values else []), *others]))


def wrapped(annotation: str) -> str:
    """An annotation that fits the line."""
    if len(annotation) < 80:
        return annotation
    if annotation.startswith("Literal["):
        return "Literal[\n    " + ",\n    ".join(annotation[len("Literal[") : -1].split(", ")) + ",\n]"
    return "(\n    " + "\n    | ".join(annotation.split(" | ")) + "\n)"


def literal(value: Any) -> str:
    """A value inside `Literal`."""
    return json.dumps(value) if isinstance(value, str) else repr(value)


def by_type(body: dict[str, Any]) -> str:
    """The annotation for a schema that names its type."""
    named = body.get("type")
    if isinstance(named, list):
        return " | ".join(by_type({**body, "type": one}) for one in named)
    if named == "array":
        return f"list[{kind(body.get('items', True))}]"
    if named == "object":
        return f"dict[str, {kind(body.get('additionalProperties', True))}]"
    return PLAIN.get(str(named), "Any")


if __name__ == "__main__":
    sys.exit(main())
