"""The modules of the page as one script, for a file that is opened without a server, where modules cannot be loaded.

Each module becomes a function whose exports are the properties of an object. It reads the few forms of `import` and
`export` that the page and its vendored files use, one a line, and refuses anything else.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

_IMPORT = re.compile(r'^import \{ ([^}]*) \} from "([^"]+)";$', re.MULTILINE)
_LATER = re.compile(r'\bimport\("([^"]+)"\)')
_EXPORT = re.compile(r"^export (?=(?:async )?function |const |class )", re.MULTILINE)
_NAME = re.compile(r"^export (?:async )?(?:function|const|class) ([\w$]+)", re.MULTILINE)
_LIST = re.compile(r"export\{([^}]*)\};?\s*$")
_LEFT = re.compile(r"^\s*(?:import|export)\b.*$", re.MULTILINE)


def bundle(folder: Path, *first: str, without: tuple[str, ...] = ()) -> str:
    """Return a script that runs the modules `first`, in order, after everything that they import.

    Args:
        folder: where the modules are.
        without: modules that are left out; only what loads them later may need them.

    Raises:
        ValueError: a module imports or exports in another form, or modules import each other in a circle.
    """
    order: list[str] = []
    texts: dict[str, str] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"modules import each other: {' > '.join((*above, name))}")
        if name in texts or name in without:
            return
        source = (folder / name).read_text(encoding="utf-8")
        place = (folder / name).parent
        later = [_inside(folder, place, one) for one in _LATER.findall(source)]
        for _, one in _IMPORT.findall(source):
            add(_inside(folder, place, one), (*above, name))
        for one in later:
            add(one, (*above, name))
        texts[name] = _function(name, source, folder, place, without)
        order.append(name)

    for name in first:
        add(name, ())
    return '"use strict";\nconst modules = {};\n(async () => {\n' + "".join(texts[name] for name in order) + "})();\n"


def _inside(folder: Path, place: Path, name: str) -> str:
    return (place / name).resolve().relative_to(folder.resolve()).as_posix()


def _function(name: str, source: str, folder: Path, place: Path, without: tuple[str, ...]) -> str:
    """Return a module as the call of a function that sets its exports."""
    exports = [(one, one) for one in _NAME.findall(source)]
    if listed := _LIST.search(source):
        pairs = (one.split(" as ") for one in listed[1].split(","))
        exports += [(pair[-1].strip(), pair[0].strip()) for pair in pairs]
        source = source[: listed.start()]

    def bring(found: re.Match[str]) -> str:
        names = found[1].replace(" as ", ": ")
        return f"const {{ {names} }} = modules[{json.dumps(_inside(folder, place, found[2]))}];"

    def bring_later(found: re.Match[str]) -> str:
        one = _inside(folder, place, found[1])
        return "undefined" if one in without else f"Promise.resolve(modules[{json.dumps(one)}])"

    source = _LATER.sub(bring_later, _EXPORT.sub("", _IMPORT.sub(bring, source)))
    if left := [line for line in _LEFT.findall(source) if len(line) < 1000]:
        raise ValueError(f"{name}: cannot read {left[0].strip()!r}")
    given = ", ".join(f"{outer}: {inner}" if outer != inner else outer for outer, inner in exports)
    return f"modules[{json.dumps(name)}] = await (async () => {{\n{source}\nreturn {{ {given} }};\n}})();\n"
