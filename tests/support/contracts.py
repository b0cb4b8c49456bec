"""A contract for import-linter: the folders of code form no circle of imports; a room's own modules are one too."""

from __future__ import annotations

import graphlib
from pathlib import Path

from grimp import ImportGraph, build_graph
from importlinter import Contract, ContractCheck, fields, output

ROOT = Path(__file__).resolve().parents[2]


def folder_of(module: str) -> str:
    """Return the folder that a module's file lies in, as a dotted name: of a package, the package itself."""
    parts = module.split(".")[1:]
    is_package = not parts or ROOT.joinpath(*parts).is_dir()
    return ".".join(parts if is_package else parts[:-1]) or "api"


class AcyclicFolders(Contract):
    """Kept where the folders can be put in an order in which each imports only those before it."""

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look for a circle."""
        imports: dict[str, set[str]] = {}
        for module in graph.modules:
            if module.split(".")[0] != "shotdex" or module == "shotdex.__main__":
                continue
            for imported in graph.find_modules_directly_imported_by(module):
                if imported.split(".")[0] == "shotdex" and folder_of(imported) != folder_of(module):
                    imports.setdefault(folder_of(module), set()).add(folder_of(imported))
        try:
            graphlib.TopologicalSorter(imports).prepare()
        except graphlib.CycleError as error:
            return ContractCheck(kept=False, metadata={"circle": error.args[1]})
        return ContractCheck(kept=True)

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name the folders of the circle."""
        output.print_error(" <- ".join(check.metadata["circle"]))


class OnTheDoor(Contract):
    """Kept where the command line imports, when it runs, only the door, errors and types, and the exceptions named."""

    exceptions = fields.SetField(subfield=fields.StringField(), required=False, default=set())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look for imports of the rooms below; those for annotations alone do not count."""
        rooms = {f"shotdex.{path.parent.name}" for path in ROOT.glob("*/__init__.py") if path.parent.name != "api"}
        allowed = {
            "shotdex.cli",
            "shotdex.demo",
            "shotdex.store.errors",
            "shotdex.store.queries",
            "shotdex.store.types",
            *self.exceptions,
        }
        running = build_graph("shotdex", exclude_type_checking_imports=True)
        wrong = [
            f"{module} -> {imported}"
            for module in sorted(running.find_descendants("shotdex.cli"))
            for imported in sorted(running.find_modules_directly_imported_by(module))
            if ".".join(imported.split(".")[:2]) in rooms
            and not any(f"{imported}.".startswith(f"{name}.") for name in allowed)
        ]
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name the imports."""
        for line in check.metadata["wrong"]:
            output.print_error(line)
