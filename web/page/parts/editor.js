// Classes and their prompts as they are being typed; kept in this tab only.
import { html, signal } from "../vendor/ui.js";
import { store } from "../api.js";

const kept = sessionStorage.getItem("draft");

// {classes: [{name, prompts: "one a line"}], combine}, or null before the first is there
export const draft = signal(kept ? JSON.parse(kept) : null);

export function remember(next) {
  draft.value = next;
  sessionStorage.setItem("draft", JSON.stringify(next));
}

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

// As the server takes it: {classes: {name: [prompt, ...]}, combine}.
export const promptSet = ({ classes, combine }) => ({ classes: Object.fromEntries(classes.map((one) => [one.name.trim(), lines(one.prompts)])), combine });

// The prompts of a run, or the categories themselves where there is none.
export async function fromRun(run) {
  const found = store.value.runs.find((one) => one.name === run);
  const classes = found?.classes ?? Object.fromEntries(Object.keys(store.value.labels.category ?? {}).map((name) => [name, [name]]));
  return { classes: Object.entries(classes).map(([name, prompts]) => ({ name, prompts: prompts.join("\n") })), combine: found?.combine ?? "mean" };
}

// What is wrong, as [index of the class, "name" or "prompts", words].
export function problems({ classes }) {
  const found = [];
  const names = new Map();
  classes.forEach((one, index) => {
    const name = one.name.trim();
    if (!name) found.push([index, "name", "A class needs a name."]);
    else if (names.has(name)) found.push([index, "name", `There are two classes named ${name}.`]);
    names.set(name, index);
    if (!lines(one.prompts).length) found.push([index, "prompts", "A class needs at least one prompt."]);
    const long = lines(one.prompts).find((line) => line.length > 500);
    if (long) found.push([index, "prompts", "A prompt has at most 500 characters."]);
  });
  if (classes.length < 2) found.push([classes.length - 1, "name", "It takes at least two classes."]);
  return found;
}

export function Editor() {
  const { classes, combine } = draft.value;
  const wrong = problems(draft.value);
  const known = new Set(Object.keys(store.value.labels.category ?? {}));
  const set = (index, change) => remember({ ...draft.value, classes: classes.map((one, at) => (at === index ? { ...one, ...change } : one)) });
  const template = (event) => {
    event.preventDefault();
    const text = event.target.elements.template.value;
    if (text.includes("{}")) remember({ ...draft.value, classes: classes.map((one) => ({ ...one, prompts: text.replaceAll("{}", one.name.trim()) })) });
  };
  const said = (index, field) => wrong.find(([at, where]) => at === index && where === field)?.[2];
  return html`<div class="editor-tools">
      <label class="field"><span>Start from</span><select value="" onChange=${async (event) => (remember(await fromRun(event.target.value)), (event.target.value = ""))}><option value="">choose…</option>${store.value.runs.map((one) => html`<option value=${one.name}>run ${one.name}</option>`)}<option value=" ">the categories</option></select></label>
      <label class="field"><span>Several prompts of a class</span><select value=${combine} onChange=${(event) => remember({ ...draft.value, combine: event.target.value })}><option value="mean">mean of them</option><option value="max">the best counts</option></select></label>
      <form class="template" onSubmit=${template}><label class="field"><span>Template for all classes</span><input name="template" type="text" autocomplete="off" placeholder="a photo of a {}." /></label><button type="submit">Apply</button></form></div>
    <ol class="classes">${classes.map((one, index) => {
      const [badName, badPrompts] = [said(index, "name"), said(index, "prompts")];
      const unknown = !badName && one.name.trim() && !known.has(one.name.trim());
      return html`<li key=${index}><input type="text" class="class-name" aria-label=${`Name of class ${index + 1}`} value=${one.name} maxlength="200" autocomplete="off" aria-invalid=${String(Boolean(badName))} aria-describedby=${`class-said-${index}`} onInput=${(event) => set(index, { name: event.target.value })} />
        <textarea rows=${Math.max(1, one.prompts.split("\n").length)} spellcheck=${false} aria-label=${`Prompts of ${one.name || `class ${index + 1}`}`} value=${one.prompts} aria-invalid=${String(Boolean(badPrompts))} aria-describedby=${`class-said-${index}`} onInput=${(event) => set(index, { prompts: event.target.value })}></textarea>
        <button type="button" class="quiet" aria-label=${`Remove ${one.name || `class ${index + 1}`}`} onClick=${() => remember({ ...draft.value, classes: classes.filter((_, at) => at !== index) })}>×</button>
        <p id=${`class-said-${index}`} class=${badName || badPrompts ? "field-problem" : "muted"}>${badName ?? badPrompts ?? (unknown ? "No image has this category, so none can be right." : "")}</p></li>`;
    })}</ol>
    <button type="button" onClick=${() => remember({ ...draft.value, classes: [...classes, { name: "", prompts: "" }] })}>+ class</button>`;
}
