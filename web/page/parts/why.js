// Why images of one category are taken for another: the cosine gap of the two classes, and which prompt pulled each image.
import { html } from "../vendor/ui.js";
import { get, runPath, store, useLoaded } from "../api.js";
import { counted, signed } from "./format.js";
import { Trouble } from "./problem.js";
import { Table } from "./table.js";

export function Why({ run, truth, predicted }) {
  const key = [run, truth, predicted, store.value.generation].join("\n");
  const { value, problem } = useLoaded(key, (options) => get(`runs/${runPath(run)}/cell`, { truth, predicted }, options));
  if (problem) return html`<${Trouble} problem=${problem} />`;
  if (!value) return null;
  const rows = value.prompts.map((one) => ({ ...one, key: one.prompt }));
  return html`<p>The prompts of ${predicted} are nearer than those of ${truth} by a cosine of ${signed(value.gap.median).slice(1)} (median of ${counted(value.gap.n, "image")}; ${value.gap.least.toFixed(3)} to ${value.gap.most.toFixed(3)}).</p>
    ${rows.length > 0 && html`<${Table} caption=${`The prompt of ${predicted} nearest to each image`} rows=${rows} columns=${[{ head: "prompt", row: true, cell: (row) => row.prompt }, { head: "images", number: true, cell: (row) => row.images }]} />`}`;
}
