// The other half of the images: shown once for a prompt set, and counted, so that what was explored can be believed.
import { html, signal } from "../vendor/ui.js";
import { post, store } from "../api.js";
import { count, p, share } from "./format.js";
import { Trouble } from "./problem.js";
import { Table } from "./table.js";
import { Number_ } from "./interval.js";
import { draft, problems, promptSet } from "./editor.js";

const trouble = signal(null);

// What was looked at and confirmed in a store, with this browser: it outlives the tab and the server, since both count.
const changed = signal(0);
addEventListener("storage", () => (changed.value += 1));
const place = () => `shotdex tried ${store.value.path}`;

function recall() {
  const empty = { process: "", before: 0, last: 0, confirmed: [] };
  if (changed.value < 0) return empty;
  try {
    return { ...empty, ...JSON.parse(localStorage.getItem(place())) };
  } catch {
    return empty;
  }
}

function record(change) {
  try {
    localStorage.setItem(place(), JSON.stringify({ ...recall(), ...change }));
  } catch {
    // a browser that keeps nothing: the server counts for as long as it runs
  }
  changed.value += 1;
}

// The server counts prompt sets since it was started; what earlier ones counted is added.
export function sawLooks(looks) {
  const { process } = store.value;
  const { process: known, before, last } = recall();
  if (known !== process) record({ process, before: before + last, last: looks });
  else if (looks > last) record({ last: looks });
}

export function allLooks() {
  const { before, last } = recall();
  return before + last;
}

// Holm's correction over everything confirmed.
export function holm(values) {
  const order = values.map((value, index) => [value, index]).sort((a, b) => a[0] - b[0]);
  const adjusted = Array(values.length);
  let most = 0;
  order.forEach(([value, index], rank) => {
    most = Math.max(most, Math.min(1, value * (values.length - rank)));
    adjusted[index] = most;
  });
  return adjusted;
}

export function Confirm({ run }) {
  const set = promptSet(draft.value);
  const key = JSON.stringify([set, run]);
  const { confirmed } = recall();
  const done = confirmed.some((one) => one.key === key);
  const confirm = async () => {
    try {
      const value = await post("live", { ...set, against: run || null, half: "confirm" });
      const row = { key, accuracy: value.accuracy, against: value.against?.accuracy ?? null, run, p_value: value.against?.p_value ?? null, prompts: Object.values(set.classes).flat().length };
      record({ confirmed: [...recall().confirmed.filter((one) => one.key !== key), row] });
      trouble.value = null;
    } catch (problem) {
      trouble.value = problem;
    }
  };
  const tested = confirmed.filter((one) => one.p_value !== null);
  const adjusted = holm(tested.map((one) => one.p_value));
  const rows = confirmed.map((one, index) => ({ ...one, number: index + 1, adjusted: adjusted[tested.indexOf(one)] }));
  return html`<section class="confirm"><h2>Confirm</h2>
    <p>What you see above you have chosen by looking, so its p means little. The other half of the images tells whether it holds; each prompt set is shown it once, and p is corrected for all of them (Holm).</p>
    <p><button type="button" class="main" disabled=${done || problems(draft.value).length > 0} onClick=${confirm}>${done ? "These prompts are confirmed below" : "Confirm on the other half"}</button></p>
    <${Trouble} problem=${trouble.value} />
    ${rows.length > 0 && html`<${Table} caption="Confirmed prompt sets, on the confirming half" rows=${rows} columns=${[
      { head: "set", row: true, cell: (row) => row.number },
      { head: "prompts", number: true, cell: (row) => count(row.prompts) },
      { head: "accuracy", cell: (row) => html`<${Number_} estimate=${row.accuracy} />` },
      { head: "run", cell: (row) => (row.against ? `${row.run} ${share(row.against.value)}` : "") },
      { head: "p", number: true, cell: (row) => p(row.p_value) },
      { head: "p (Holm)", number: true, cell: (row) => p(row.adjusted) },
    ]} />`}</section>`;
}
