// Try prompts: every change of a class or a prompt shows its accuracy, on the half of the images that is for looking.
import { html, useEffect, useRef, useState } from "../vendor/ui.js";
import { look, post, store, useLoaded } from "../api.js";
import { go, state } from "../state.js";
import { AsCommand } from "../parts/command.js";
import { Confusion } from "../parts/confusion.js";
import { between, count, counted, literal, p, share, shell, signed } from "../parts/format.js";
import { Gallery } from "../parts/gallery.js";
import { Bar, Number_ } from "../parts/interval.js";
import { Empty, Trouble } from "../parts/problem.js";
import { Table } from "../parts/table.js";
import { Editor, draft, fromRun, problems, promptSet, remember } from "../parts/editor.js";
import { Confirm, allLooks, sawLooks } from "../parts/confirm.js";
import { joinCell, splitCell } from "../parts/filters.js";

// The newest answer to the prompts as they are now; an older one never overwrites it, since its request is dropped.
function useNumbers(run, half, cell) {
  const [found, set] = useState({ value: null, problem: null });
  const [truth, predicted] = cell ? splitCell(cell) : [];
  const body = JSON.stringify({ ...promptSet(draft.value), against: run || null, half, true: truth, predicted });
  const valid = problems(draft.value).length === 0;
  const { generation } = store.value;
  useEffect(() => {
    if (!valid) return undefined;
    const abort = new AbortController();
    const began = performance.now();
    post("live", JSON.parse(body), { signal: abort.signal }).then(
      (value) => {
        if (abort.signal.aborted) return;
        sawLooks(value.looks);
        set({ value, problem: null, ms: performance.now() - began, body });
      },
      (problem) => abort.signal.aborted || set((before) => ({ ...before, problem })),
    );
    return () => abort.abort();
  }, [body, valid, generation]);
  return { ...found, valid, current: found.body === body };
}

function Headline({ value, ms, run }) {
  return html`<dl class="headline"><div title=${value.accuracy.method}><dt>Accuracy</dt><dd>${share(value.accuracy.value)}<small>${share(value.accuracy.low)} to ${share(value.accuracy.high)} · ${counted(value.accuracy.n, "image")}</small></dd></div>
    ${value.against && html`<div title=${value.against.accuracy.method}><dt>${run}</dt><dd>${share(value.against.accuracy.value)}<small>${share(value.against.accuracy.low)} to ${share(value.against.accuracy.high)} · the same images</small></dd></div>
    <div title=${value.against.difference.method}><dt>Difference</dt><dd>${signed(value.against.difference.value)}<small>${between(value.against.difference, signed)}</small></dd></div>`}
    <div><dt>Looks</dt><dd>${count(allLooks())}<small>${ms === undefined ? "" : `answered in ${Math.round(ms)} ms`}</small></dd></div></dl>
    ${value.against?.sentence && html`<p class="sentence">${value.against.sentence}</p>`}`;
}

function Conditions({ value, run }) {
  const others = Object.fromEntries((value.against?.groups ?? []).map((one) => [one.name, one.accuracy]));
  const rows = value.groups.map((one) => ({ ...one, key: one.name }));
  if (!rows.length) return null;
  return html`${value.against && html`<p class="key"><span>these prompts</span><span class="second">${run}</span></p>`}
    <${Table} caption="Accuracy by condition" rows=${rows} columns=${[
      { head: "condition", row: true, cell: (row) => row.name },
      { head: "images", number: true, cell: (row) => count(row.accuracy.n) },
      { head: "accuracy, 95 % interval", cell: (row) => html`<${Number_} estimate=${row.accuracy} />` },
      ...(value.against ? [{ head: run, cell: (row) => html`<${Number_} estimate=${others[row.name]} />` }] : []),
      { head: "0 to 1", cell: (row) => html`<${Bar} estimates=${[row.accuracy, ...(others[row.name] ? [{ ...others[row.name], kind: "second" }] : [])]} />` },
    ]} />`;
}

// The images of a cell, with the prompts as they are now.
function Cell({ value, cell }) {
  if (!value.cell) return html`<${Empty}>Choose a cell to see its images.<//>`;
  const [truth, predicted] = splitCell(cell);
  const { truths, classes, gaps } = value.confusion;
  const gap = gaps?.[truths.indexOf(truth)]?.[classes.indexOf(predicted)];
  const words = truth === predicted ? `${truth} recognised` : `${truth} taken for ${predicted}`;
  return html`<section id="behind" aria-label="Images of the chosen cell"><h2>${words[0].toUpperCase() + words.slice(1)}</h2>
    ${truth !== predicted && Number.isFinite(gap) && html`<p>The prompts of ${predicted} are nearer than those of ${truth} by a cosine of ${share(gap)} on average.</p>`}
    <p class="total">${counted(value.cell.n, "image")} of the exploring half</p>
    <${Gallery} hits=${value.cell.images} label=${words} /></section>`;
}

function Flips({ value, run }) {
  const [which, setWhich] = useState("gained");
  const hits = value.against?.[`${which}_images`] ?? [];
  if (!value.against) return null;
  const words = { gained: "now right", lost: "now wrong" };
  return html`<section><h2>Images that flip against ${run}</h2>
    <div class="segments" role="radiogroup" aria-label="Which images">${Object.keys(words).map((one) => html`<label><input type="radio" name="flips" checked=${which === one} onChange=${() => setWhich(one)} /><span>${words[one]}: ${count(value.against[one])}</span></label>`)}</div>
    ${hits.length ? html`<${Gallery} hits=${hits} label=${`Images ${words[which]}`} />` : html`<${Empty}>None.<//>`}</section>`;
}

// What each prompt of a class is worth: the numbers without it.
function LeaveOut({ run }) {
  const classes = Object.entries(promptSet(draft.value).classes).filter(([, prompts]) => prompts.length > 1).map(([name]) => name);
  const [picked, pick] = useState("");
  const name = classes.includes(picked) ? picked : "";
  const key = name ? JSON.stringify([promptSet(draft.value), run, name, store.value.generation]) : null;
  const { value, problem } = useLoaded(key, (options) => post("live", { ...promptSet(draft.value), half: "explore", leave_one_out: name }, options));
  if (!classes.length) return null;
  const rows = (name && value?.leave_one_out ? value.leave_one_out : []).map((one) => ({ ...one, key: one.prompt }));
  return html`<section><h2>Leave a prompt out</h2><div class="controls"><label class="field"><span>Prompts of</span><select value=${name} onChange=${(event) => pick(event.target.value)}><option value="">choose a class…</option>${classes.map((one) => html`<option value=${one}>${one}</option>`)}</select></label></div>
    <${Trouble} problem=${problem} />
    ${rows.length > 0 && html`<${Table} caption=${`Accuracy without one prompt of ${name}`} rows=${rows} columns=${[
      { head: "without", row: true, cell: (row) => row.prompt },
      { head: "accuracy, 95 % interval", cell: (row) => html`<${Number_} estimate=${row.accuracy} />` },
      { head: "0 to 1", cell: (row) => html`<${Bar} estimates=${[row.accuracy]} marks=${[{ value: value.accuracy.value, name: "with all prompts" }]} />` },
      { head: "gained", number: true, cell: (row) => count(row.gained) },
      { head: "lost", number: true, cell: (row) => count(row.lost) },
      { head: "p", number: true, cell: (row) => p(row.p_value) },
    ]} />`}</section>`;
}

export function Live() {
  const { runs, read_only: readOnly } = store.value;
  const run = state.value.run || runs.at(-1)?.name || "";
  const asked = useRef(false);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    if (draft.value || asked.current) return;
    asked.current = true;
    fromRun(run).then(remember, setProblem);
  }, []);
  if (!draft.value) return html`<${Trouble} problem=${problem} />`;
  return html`<${Trying} run=${run} readOnly=${readOnly} />`;
}

function Trying({ run, readOnly }) {
  const { runs } = store.value;
  const { cell } = state.value;
  const found = useNumbers(run, "explore", cell);
  const { value } = found;
  return html`<div class="trying"><div class="editor-side"><h1>Try prompts</h1>
      <p class="muted">One prompt per line. The numbers come from the half of the images that is for exploring; nothing is stored until you save.</p>
      <${Editor} /><${Save} readOnly=${readOnly} />
      ${value && html`<p class="glance"><b>${share(value.accuracy.value)}</b><span class="muted">${between(value.accuracy)}</span>${value.against && html`<span>${signed(value.against.difference.value)} to ${run}</span>`}</p>`}</div>
    <div class="numbers" aria-busy=${String(!found.current)}>
      <div class="controls"><label class="field"><span>Compared with</span><select value=${run} onChange=${(event) => go({ run: event.target.value })}>${runs.map((one) => html`<option value=${one.name}>${one.name}</option>`)}</select></label></div>
      <${Trouble} problem=${found.problem} />
      ${!found.valid && html`<p class="note">The numbers are those before the prompts marked on the left.</p>`}
      <div role="status" class="hidden">${value && found.current ? `Accuracy ${share(value.accuracy.value)}` : ""}</div>
      ${value && html`<${Headline} value=${value} ms=${found.ms} run=${run} /><${Conditions} value=${value} run=${run} />
        <${Confusion} matrix=${value.confusion} caption="Exploring half: rows are the true categories, columns what they are taken for" picked=${cell ? splitCell(cell) : null} onCell=${(truth, predicted) => go({ cell: joinCell(truth, predicted) })} />
        <${Cell} value=${value} cell=${cell} /><${LeaveOut} run=${run} />
        <${Confirm} run=${run} /><${Flips} value=${value} run=${run} />
        <${AsCommand} command=${commandLine(run)} sql=${run ? `SELECT prompt FROM prompts JOIN runs USING (prompt_set_id) WHERE runs.name = ${literal(run)}` : ""} />`}
    </div></div>`;
}

// The prompts as a file, and what classifies all images with them.
function commandLine(run) {
  const { classes, combine } = promptSet(draft.value);
  const lines = Object.entries(classes).map(([name, prompts]) => `${JSON.stringify(name)} = ${JSON.stringify(prompts)}`);
  const file = [`name = "tried"`, `combine = "${combine}"`, "", "[classes]", ...lines].join("\n");
  const compare = run ? `\nshotdex compare ${shell(run)} tried --by condition` : "";
  return `cat > tried.toml <<'END'\n${file}\nEND\nshotdex classify --prompts tried.toml --name tried${compare}`;
}

function Save({ readOnly }) {
  const [name, setName] = useState("");
  const [said, say] = useState(null);
  const [busy, setBusy] = useState(false);
  if (readOnly) return html`<p class="note">This page is read-only: runs cannot be saved.</p>`;
  const taken = store.value.runs.some((one) => one.name === name.trim());
  const save = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await post("runs", { name: name.trim(), looks: allLooks(), ...promptSet(draft.value) });
      await look();
      say({ saved: name.trim() });
      setName("");
    } catch (problem) {
      say({ problem });
    }
    setBusy(false);
  };
  const bad = problems(draft.value).length > 0;
  return html`<form class="save" onSubmit=${save}><label class="field"><span>Save as run</span><input type="text" value=${name} maxlength="200" autocomplete="off" aria-describedby="save-said" onInput=${(event) => (setName(event.target.value), say(null))} /></label>
    <button type="submit" class="main" disabled=${!name.trim() || taken || bad || busy}>${busy ? "Saving…" : "Save"}</button>
    <p id="save-said" role="status" class=${taken ? "field-problem" : "muted"}>${taken ? "There is a run of this name already." : said?.saved ? html`Saved. <a href="?view=evaluate&run=${encodeURIComponent(said.saved)}" onClick=${(event) => (event.preventDefault(), go({ view: "evaluate", run: said.saved, against: "", cell: "" }))}>Evaluate ${said.saved}</a>` : ""}</p>
    <${Trouble} problem=${said?.problem} /></form>`;
}
