"""A contract for import-linter: the folders of code form no circle of imports; a room's own modules are one too."""

from __future__ import annotations

import graphlib
from pathlib import Path

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output

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
