"""Make web/page/vendor from npm packages: three files, their licences, and what they were made of.

Run only to change a version: edit making/page/package.json, then `python -m making.vendor_page --update`. Without
`--update` the packages are those of package-lock.json, with its hashes, and the result is the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "making" / "page"
VENDOR = ROOT / "web" / "page" / "vendor"

FILES = {
    "ui.js": """
        export {h, render, Fragment, createContext} from "preact";
        export {useEffect, useLayoutEffect, useMemo, useRef, useState, useId} from "preact/hooks";
        export {signal, computed, effect, batch, useSignal} from "@preact/signals";
        import {h} from "preact";
        import htm from "htm";
        export const html = htm.bind(h);
    """,
    "map.js": """
        export {select} from "d3-selection";
        export {zoom, zoomIdentity} from "d3-zoom";
        export {quadtree} from "d3-quadtree";
        export {polygonContains} from "d3-polygon";
        export {tableFromIPC} from "@uwdata/flechette";
    """,
    "sql.js": """
        export {EditorView, basicSetup} from "codemirror";
        export {keymap} from "@codemirror/view";
        export {Prec, Compartment} from "@codemirror/state";
        export {HighlightStyle, syntaxHighlighting} from "@codemirror/language";
        export {tags} from "@lezer/highlight";
        export {sql, PostgreSQL} from "@codemirror/lang-sql";
    """,
}


def main() -> None:
    """Install the packages in a temporary folder, bundle them, and write web/page/vendor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="resolve package.json again and write package-lock.json")
    update = parser.parse_args().update
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in ("package.json", "package-lock.json"):
            if (PACKAGES / name).exists() and not (update and name == "package-lock.json"):
                shutil.copy(PACKAGES / name, place / name)
        _run(place, "npm", "install" if update else "ci", "--no-audit", "--no-fund", "--ignore-scripts")
        if update:
            shutil.copy(place / "package-lock.json", PACKAGES / "package-lock.json")
        shutil.rmtree(VENDOR, ignore_errors=True)
        VENDOR.mkdir(parents=True)
        used = {name: _bundle(place, name, source) for name, source in FILES.items()}
        _write_list(place, used)


def _run(place: Path, *command: str) -> None:
    subprocess.run(command, cwd=place, check=True)


def _bundle(place: Path, name: str, source: str) -> list[str]:
    """Write one file of vendor/; return the packages in it."""
    (place / "entry.js").write_text(source)
    options = ("--bundle", "--format=esm", "--minify", "--target=es2022", "--legal-comments=none", "--charset=ascii")
    _run(place, "node_modules/.bin/esbuild", "entry.js", *options, "--metafile=meta.json", f"--outfile={VENDOR / name}")
    inputs = json.loads((place / "meta.json").read_text())["inputs"]
    paths = [path.split("node_modules/")[1].split("/") for path in inputs if path.startswith("node_modules/")]
    return sorted({"/".join(parts[: 2 if parts[0].startswith("@") else 1]) for parts in paths})


def _write_list(place: Path, used: dict[str, list[str]]) -> None:
    """Write VENDOR.toml and LICENSES.txt."""
    lines = ["# Made by making/vendor_page.py from making/page/package-lock.json; do not edit.\n"]
    for name, packages in used.items():
        digest = hashlib.sha256((VENDOR / name).read_bytes()).hexdigest()
        size = (VENDOR / name).stat().st_size
        lines += ["[[file]]", f'name = "{name}"', f"bytes = {size}", f'sha256 = "{digest}"']
        lines += [f"packages = {json.dumps(packages)}\n"]
    licences = []
    for package in sorted({package for packages in used.values() for package in packages}):
        folder = place / "node_modules" / package
        facts = json.loads((folder / "package.json").read_text())
        lines += ["[[package]]", f'name = "{package}"', f'version = "{facts["version"]}"']
        lines += [f'licence = "{facts["license"]}"\n']
        text = next(folder.glob("LICEN[CS]E*")).read_text().strip()
        licences.append(f"{package} {facts['version']} ({facts['license']})\n\n{text}\n")
    (VENDOR / "VENDOR.toml").write_text("\n".join(lines).rstrip() + "\n")
    (VENDOR / "LICENSES.txt").write_text(("\n" + "-" * 80 + "\n\n").join(licences))


if __name__ == "__main__":
    main()
