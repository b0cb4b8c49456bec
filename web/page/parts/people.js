// People, or another model, on the same conditions: where the run is better or worse, and whether both err on the same images.
import { html } from "../vendor/ui.js";
import { baselinePath, get, runPath, store, useLoaded } from "../api.js";
import { AsCommand } from "./command.js";
import { count, shell } from "./format.js";
import { Bar, Number_ } from "./interval.js";
import { Trouble } from "./problem.js";
import { Table } from "./table.js";

export function People({ run, name }) {
  const key = [run, name, store.value.generation].join("\n");
  const { value, problem } = useLoaded(key, (options) => get(`baselines/${baselinePath(name)}/${runPath(run)}`, {}, options));
  if (problem) return html`<${Trouble} problem=${problem} />`;
  if (!value) return null;
  const rows = value.conditions.map((one) => ({ ...one, key: one.condition }));
  const consistency = (value.consistency?.conditions ?? []).map((one) => ({ ...one, key: one.condition }));
  return html`<section><h2>Compared with ${name}</h2><p class="muted">${value.baseline.source}${value.baseline.source && "."} ${value.baseline.note}</p>${value.notes.map((note) => html`<p class="note">${note}</p>`)}
    <${Table} caption=${`${run} minus ${name}`} rows=${rows} columns=${[
      { head: "condition", row: true, cell: (row) => row.condition },
      { head: run, cell: (row) => html`<${Number_} estimate=${row.model} />` },
      { head: name, cell: (row) => html`<${Number_} estimate=${row.baseline} />` },
      { head: "difference", cell: (row) => html`<${Number_} estimate=${row.difference} difference />` },
      { head: "−1 to 1", cell: (row) => html`<${Bar} estimates=${[row.difference]} low=${-1} high=${1} zero=${0} />` },
      { head: `${run} is`, cell: (row) => row.verdict },
    ]} />
    ${consistency.length > 0 && html`<${Table} caption="Error consistency: Cohen’s kappa of right and wrong; 1 is the same errors, 0 what chance gives" rows=${consistency} columns=${[
      { head: "condition", row: true, cell: (row) => row.condition },
      { head: "images", number: true, cell: (row) => count(row.images) },
      { head: "kappa", cell: (row) => html`<${Number_} estimate=${row.kappa} />` },
      { head: "people with each other", cell: (row) => html`<${Number_} estimate=${row.between} />` },
    ]} />`}
    <${AsCommand} command=${`shotdex baseline compare ${shell(name)} --run ${shell(run)}`} /></section>`;
}
