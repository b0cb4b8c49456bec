// Ask in SQL: an editor with completion, the answer as a table, and as images where it holds their ids.
import { html, useEffect, useRef, useState } from "../vendor/ui.js";
import { EditorView, HighlightStyle, PostgreSQL, Prec, basicSetup, keymap, sql, syntaxHighlighting, tags } from "../vendor/sql.js";
import { post, store } from "../api.js";
import { go, state } from "../state.js";
import { AsCommand } from "../parts/command.js";
import { count, counted, shell } from "../parts/format.js";
import { Gallery } from "../parts/gallery.js";
import { Trouble } from "../parts/problem.js";
import { Scroll } from "../parts/table.js";

const EXAMPLES = [
  ["Accuracy by condition", "SELECT run, condition, n, accuracy, low, high\nFROM accuracy_by_condition\nORDER BY run, condition"],
  ["The surest mistakes", "SELECT image_id, run, category, predicted, probability, prompt\nFROM outcomes\nWHERE NOT correct\nORDER BY probability DESC\nLIMIT 60"],
  ["What is taken for what", "SELECT category, predicted, count(*) AS images\nFROM outcomes\nWHERE NOT correct\nGROUP BY ALL\nORDER BY images DESC"],
  ["Where two runs differ", "SELECT image_id, run_a, run_b, category, predicted_a, predicted_b\nFROM disagreements\nWHERE correct_a <> correct_b"],
  ["Images without a label", "SELECT image_id, path, width, height\nFROM images\nWHERE category IS NULL\nLIMIT 200"],
  ["Which images failed", "SELECT reason, count(*) AS images\nFROM failures\nGROUP BY reason"],
];

// Colours that can be read in both themes.
const STYLE = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--blue)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--orange)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--ink)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
]);
const THEME = EditorView.theme({
  "&": { fontSize: "14px", color: "var(--ink)", backgroundColor: "transparent" },
  "&.cm-focused": { outline: "none" },
  ".cm-content": { fontFamily: "ui-monospace, Menlo, Consolas, 'Noto Sans Mono', monospace", caretColor: "var(--ink)", minHeight: "7.5rem", padding: "8px 0" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--muted)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": { background: "var(--blue-soft)" },
  ".cm-selectionMatch": { backgroundColor: "var(--blue-soft)" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--ink)", border: "1px solid var(--line)", borderRadius: "6px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--blue)", color: "var(--on-blue)" },
  ".cm-completionDetail": { color: "inherit" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--blue-soft)" },
});

// In a shadow root, where the editor's styles are adopted sheets, which the page's policy allows.
function Editor({ text, onRun, editor }) {
  const host = useRef();
  const run = useRef(onRun);
  run.current = onRun;
  useEffect(() => {
    const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: "open" });
    const keys = keymap.of([{ key: "Mod-Enter", run: () => (run.current(), true) }]);
    const language = sql({ dialect: PostgreSQL, schema: store.value.tables ?? {}, upperCaseKeywords: true });
    const named = EditorView.contentAttributes.of({ "aria-label": "SQL statement" });
    editor.current = new EditorView({ doc: text, root, parent: root, extensions: [Prec.highest(keys), basicSetup, language, THEME, syntaxHighlighting(STYLE), EditorView.lineWrapping, named] });
    return () => editor.current.destroy();
  }, []);
  return html`<div class="editor" ref=${host}></div>`;
}

function write(value) {
  if (value === null || value === undefined) return html`<span class="muted">NULL</span>`;
  if (typeof value === "number" && !Number.isInteger(value)) return value.toFixed(4);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function csv({ columns, rows }) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns.map((one) => one.name ?? one), ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function save(found) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv(found)], { type: "text/csv" }));
  link.download = "answer.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function Answer({ found }) {
  const names = found.columns.map((one) => one.name ?? one);
  const at = names.indexOf("image_id");
  const category = names.indexOf("category");
  const predicted = names.indexOf("predicted");
  const ids = new Set();
  const hits = at < 0 ? [] : found.rows.filter((row) => row[at] !== null && !ids.has(row[at]) && ids.add(row[at])).slice(0, 400).map((row) => ({ image_id: row[at], path: "", category: row[category], predicted: row[predicted], correct: row[category] === row[predicted] }));
  const [asImages, setAsImages] = useState(true);
  const numbers = names.map((_, column) => found.rows.every((row) => row[column] === null || typeof row[column] === "number"));
  return html`<div class="answer-bar"><p class="total" role="status">${counted(found.rows.length, "row")}${found.more ? ", and more that are not shown" : ""}</p><span class="grow"></span>
      ${hits.length > 0 && html`<div class="segments" role="radiogroup" aria-label="Show the answer as">${[[true, "Images"], [false, "Table"]].map(([value, words]) => html`<label><input type="radio" name="as" checked=${asImages === value} onChange=${() => setAsImages(value)} /><span>${words}</span></label>`)}</div>`}
      <button type="button" onClick=${() => save(found)}>Save CSV</button></div>
    ${hits.length > 0 && asImages
      ? html`<${Gallery} hits=${hits} label="Images of the answer" />`
      : html`<${Scroll} label="Answer"><table class="answer"><thead><tr>${names.map((name, column) => html`<th scope="col" class=${numbers[column] ? "number" : ""}>${name}</th>`)}</tr></thead>
        <tbody>${found.rows.slice(0, 1000).map((row) => html`<tr>${row.map((value, column) => html`<td class=${numbers[column] ? "number" : ""}>${write(value)}</td>`)}</tr>`)}</tbody></table><//>
        ${found.rows.length > 1000 && html`<p class="muted">These are the first 1,000 of ${count(found.rows.length)} rows; the CSV has all.</p>`}`}`;
}

export function Sql() {
  const editor = useRef();
  const [found, setFound] = useState({ value: null, problem: null, busy: false });
  const abort = useRef();
  const run = async (text = editor.current.state.doc.toString(), replace = false) => {
    abort.current?.abort();
    abort.current = new AbortController();
    go({ sql: text }, { replace });
    setFound((before) => ({ ...before, busy: true }));
    try {
      const value = await post("sql", { statement: text }, { signal: abort.current.signal });
      setFound({ value, problem: null, busy: false, text });
    } catch (problem) {
      if (problem.name !== "AbortError") setFound({ value: null, problem, busy: false });
    }
  };
  const put = (text) => {
    editor.current.dispatch({ changes: { from: 0, to: editor.current.state.doc.length, insert: text } });
    run(text);
  };
  const first = useRef(state.value.sql || EXAMPLES[0][1]);
  useEffect(() => {
    run(first.current, true);
    return () => abort.current?.abort();
  }, []);
  return html`<div class="narrow sql"><h1 class="hidden">SQL</h1>
    <${Editor} text=${first.current} onRun=${() => run()} editor=${editor} />
    <div class="sql-bar"><button type="button" class="main" disabled=${found.busy} onClick=${() => run()}>${found.busy ? "Running…" : "Run"}</button><span class="muted">Ctrl Enter</span>
      <label class="field"><span class="hidden">Examples</span><select value="" onChange=${(event) => (put(EXAMPLES[event.target.value][1]), (event.target.value = ""))}><option value="">Examples…</option>${EXAMPLES.map(([name], index) => html`<option value=${index}>${name}</option>`)}</select></label></div>
    <${Trouble} problem=${found.problem} />
    ${found.value && html`<${Answer} key=${found.text} found=${found.value} />`}
    <${Tables} />
    <${AsCommand} command=${found.text ? `shotdex sql ${shell(found.text)}` : ""} /></div>`;
}

function Tables() {
  const tables = Object.entries(store.value.tables ?? {});
  if (!tables.length) return null;
  return html`<details class="command"><summary>Tables and views</summary><dl class="facts tables">${tables.map(([name, columns]) => html`<div><dt><code>${name}</code></dt><dd>${columns.join(", ")}</dd></div>`)}</dl></details>`;
}
