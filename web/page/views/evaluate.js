// How well a run recognises what is on the images, or two runs on the same images.
import { html, useEffect, useState } from "../vendor/ui.js";
import { address, get, offline, runPath, store, useLoaded } from "../api.js";
import { follow, go, link, state } from "../state.js";
import { AsCommand } from "../parts/command.js";
import { Confusion } from "../parts/confusion.js";
import { joinCell, splitCell } from "../parts/filters.js";
import { count, counted, literal, p, share, shell } from "../parts/format.js";
import { Bar, Number_ } from "../parts/interval.js";
import { Empty, Trouble } from "../parts/problem.js";
import { Table } from "../parts/table.js";
import { Found } from "./search.js";
import { Why } from "../parts/why.js";
import { People } from "../parts/people.js";

const GROUPS = ["condition", "category", "split", "condition,category"];

function Select({ name, label, options, none }) {
  return html`<label class="field"><span>${label}</span><select value=${state.value[name]} onChange=${(event) => go({ [name]: event.target.value, cell: "", flip: "" })}>
    ${none && html`<option value="">${none}</option>`}${options.map((one) => html`<option value=${one}>${one}</option>`)}</select></label>`;
}

function Controls({ run }) {
  const names = store.value.runs.map((one) => one.name);
  const groups = GROUPS.filter((group) => group.split(",").every((name) => Object.keys(store.value.labels[name] ?? {}).length));
  return html`<div class="controls"><${Select} name="run" label="Run" options=${names} />
    <${Select} name="against" label="Compared with" options=${names.filter((name) => name !== run)} none="no other run" />
    <${Select} name="by" label="By" options=${groups} />
    ${store.value.baselines.length > 0 && html`<${Select} name="baseline" label="Baseline" options=${store.value.baselines.map((one) => one.name)} none="no baseline" />`}</div>`;
}

const marksOf = (baseline, group) => {
  const found = baseline?.accuracies?.[group];
  return found ? [{ value: found.value, name: `${baseline.name}: ${share(found.value)}` }] : [];
};

function Headline({ report }) {
  const top = report.top_k[4] && report.top_k.length > 5 ? ["Top 5", report.top_k[4]] : report.top_k[2] && ["Top 3", report.top_k[2]];
  const items = [["Accuracy", report.overall.accuracy], top, ...Object.entries(report.overall.summary)].filter(Boolean);
  return html`<dl class="headline">${items.map(([name, one]) => html`<div title=${one.method}><dt>${name[0].toUpperCase() + name.slice(1)}</dt><dd>${share(one.value)}<small>${share(one.low)} to ${share(one.high)}</small></dd></div>`)}</dl>
    <p class="muted">${counted(report.coverage.evaluated, "image")} evaluated of ${count(report.coverage.indexed)} indexed: ${count(report.coverage.unlabelled)} without a label, ${count(report.coverage.other)} of another category, ${count(report.coverage.failed)} failed. Intervals are 95 %.</p>`;
}

function OneRun({ report, baseline }) {
  const rows = [...(report.groups ?? []), { ...report.overall, all: true }].map((group) => ({ ...group, key: group.name, className: group.all ? "all" : "" }));
  const marked = baseline && rows.some((row) => marksOf(baseline, row.name).length);
  const columns = [
    { head: report.by?.join(", ") || "group", row: true, cell: (row) => row.name },
    { head: "images", number: true, cell: (row) => count(row.accuracy.n) },
    { head: "accuracy, 95 % interval", cell: (row) => html`<${Number_} estimate=${row.accuracy} />` },
    { head: "0 to 1", cell: (row) => html`<${Bar} estimates=${[row.accuracy]} marks=${marksOf(baseline, row.name)} />` },
    ...(marked ? [{ head: baseline.name, number: true, cell: (row) => marksOf(baseline, row.name).map((mark) => share(mark.value)) }] : []),
  ];
  return html`<${Headline} report=${report} />${marked && html`<p class="key"><span>${report.run.name}</span><span class="dashed">${baseline.name}</span></p>`}
    <${Table} caption=${`Accuracy by ${report.by?.join(" and ") || "group"}`} columns=${columns} rows=${rows} />`;
}

function TwoRuns({ compared, baseline, run, against }) {
  const rows = compared.comparisons.map((one) => ({ ...one, key: one.group, className: one.group === "all" ? "all" : "" }));
  const widest = Math.max(0.1, ...rows.flatMap((row) => [row.difference.low, row.difference.high]).filter(Number.isFinite).map(Math.abs));
  const moved = (row, which) => {
    const n = which === "a" ? row.only_a : row.only_b;
    if (row.group !== "all" || !n) return count(n);
    return html`<a href=${"#flips"} onClick=${(event) => (event.preventDefault(), go({ flip: which === "a" ? "lost" : "gained", cell: "" }))}>${count(n)}</a>`;
  };
  const columns = [
    { head: "group", row: true, cell: (row) => row.group },
    { head: "images", number: true, cell: (row) => count(row.difference.n) },
    { head: run, cell: (row) => html`<${Number_} estimate=${row.a} stacked />` },
    { head: against, cell: (row) => html`<${Number_} estimate=${row.b} stacked />` },
    { head: "0 to 1", cell: (row) => html`<${Bar} estimates=${[row.a, { ...row.b, kind: "second" }]} marks=${marksOf(baseline, row.group)} width=${130} />` },
    { head: "difference", cell: (row) => html`<${Number_} estimate=${row.difference} difference stacked />` },
    { head: `± ${widest.toFixed(2)}`, cell: (row) => html`<${Bar} estimates=${[row.difference]} low=${-widest} high=${widest} zero=${0} width=${130} />` },
    { head: `only ${run}`, number: true, cell: (row) => moved(row, "a") },
    { head: `only ${against}`, number: true, cell: (row) => moved(row, "b") },
    { head: "p", number: true, cell: (row) => p(row.p_value) },
    { head: "p (Holm)", number: true, cell: (row) => p(row.adjusted) },
  ];
  return html`<p class="sentence">${compared.sentences[compared.comparisons.findIndex((one) => one.group === "all")] ?? compared.sentence}</p>${compared.notes.map((note) => html`<p class="note">${note}</p>`)}
    <p class="key"><span>${run}</span><span class="second">${against}</span>${baseline && html`<span class="dashed">${baseline.name}</span>`}</p>
    <${Table} caption="Both runs on the same images; difference: second minus first; p: exact McNemar test" columns=${columns} rows=${rows} />`;
}

const confusionOf = (found) => ({ truths: found.truths, classes: found.classes, cells: found.cells });

// What to do next with a run: its worst mistakes, other prompts, a report to hand on.
function Next({ run, against }) {
  const [wait, setWait] = useState(false);
  const mistakes = { view: "search", run, outcome: "wrong", sort: "margin", cell: "", flip: "", text: [], minus: [], image: "" };
  const others = { view: "live", run, cell: "", flip: "" };
  const download = () => {
    setWait(true);
    setTimeout(() => setWait(false), 8000);
  };
  return html`<p class="actions"><a class="button" href=${link(mistakes)} onClick=${follow(mistakes)}>Worst mistakes</a>
    ${!offline.answers && html`<a class="button" href=${link(others)} onClick=${follow(others)}>Try other prompts</a>
    <a class="button" href=${address(`runs/${runPath(run)}/document`, { against })} download onClick=${download}>Report as a file to send</a>
    <span class="muted" role="status">${wait ? "The report is being written; your browser will save it." : ""}</span>`}</p>`;
}

function Matrices({ run, against, found }) {
  const picked = state.value.cell ? splitCell(state.value.cell) : null;
  const onCell = (truth, predicted, flip) => go({ cell: joinCell(truth, predicted), flip: flip ?? "" });
  const a = confusionOf(found);
  const b = found.against && confusionOf(found.against);
  return html`<div class="columns">
    <section><h2>What is taken for what</h2><${Confusion} matrix=${a} caption=${`${run}: rows are the true categories, columns what they are taken for`} picked=${state.value.flip ? null : picked} onCell=${(t, q) => onCell(t, q)} /></section>
    ${b && html`<section><h2>What changes</h2><${Confusion} matrix=${b} before=${a} caption=${`${against} minus ${run}; blue is better`} picked=${state.value.flip ? picked : null} onCell=${(t, q) => onCell(t, q, "came")} /></section>`}
  </div>`;
}

// What a difference between two runs is about, in words.
const FLIPS = {
  gained: (run, against) => `only ${against} gets these right`,
  lost: (run, against) => `only ${run} gets these right`,
  changed: (run, against) => `${run} and ${against} take these for different categories`,
  came: (run, against, cell) => `${cell} by ${against}, not by ${run}`,
  left: (run, against, cell) => `${cell} by ${run}, not by ${against}`,
};

function Flips({ names, labels }) {
  return html`<div class="segments" role="radiogroup" aria-label="Which images">${names.map((name, index) => html`<label><input type="radio" name="flip" checked=${state.value.flip === name} onChange=${() => go({ flip: name })} /><span>${labels[index]}</span></label>`)}</div>`;
}

// The images behind a number: those of a cell, or those on which two runs differ.
function Behind({ run, against }) {
  const { cell, flip } = state.value;
  const [truth, predicted] = cell ? splitCell(cell) : [];
  const asked = { text: [], minus: [], category: [], condition: [], split: [], run, against, outcome: "" };
  const inCell = cell && (truth === predicted ? `${truth} recognised` : `${truth} taken for ${predicted}`);
  if (flip && !against) return null;
  if (!cell && !flip) return html`<${Empty}>Choose a cell to see its images.<//>`;
  if (cell) Object.assign(asked, { true: truth, predicted });
  if (flip) asked.flip = flip;
  const words = flip ? FLIPS[flip](run, against, inCell) : `${inCell} by ${run}`;
  return html`<section id="behind" aria-label="Images of the chosen cell"><h2>${words[0].toUpperCase() + words.slice(1)}</h2>
    ${flip && (cell ? html`<${Flips} names=${["came", "left"]} labels=${["came", "left"]} />` : html`<${Flips} names=${["gained", "lost", "changed"]} labels=${[`only ${against} right`, `only ${run} right`, "taken for something else"]} />`)}
    ${cell && !flip && truth !== predicted && html`<${Why} run=${run} truth=${truth} predicted=${predicted} />`}
    <${Found} key=${words} asked=${asked} label=${words} /></section>`;
}

export function Evaluate() {
  const { runs } = store.value;
  const { against, baseline: named, cell, flip } = state.value;
  const run = state.value.run || runs.at(-1)?.name;
  const by = state.value.by || (Object.keys(store.value.labels.condition ?? {}).length ? "condition" : "category");
  useEffect(() => {
    if (run && (!state.value.run || !state.value.by)) go({ run, by, baseline: state.value.baseline || store.value.baselines[0]?.name || "" }, { replace: true });
  }, [run, by]);
  useEffect(() => {
    if (cell || flip) document.getElementById("behind")?.scrollIntoView({ block: "start", behavior: "smooth" });
  }, [cell, flip]);
  const { generation } = store.value;
  const key = run ? [run, against, by, generation].join("\n") : null;
  const numbers = useLoaded(key, (options) => (against ? get("compare", { run: [run, against], by }, options) : get(`runs/${runPath(run)}`, { by }, options)));
  const matrix = useLoaded(run ? [run, against, generation].join("\n") : null, (options) => get(`runs/${runPath(run)}/confusion`, { against }, options));
  const baseline = store.value.baselines.find((one) => one.name === named);
  if (!run) return html`<div class="first"><h1>No run yet</h1><p>Make one here, in “Try prompts”, or on the command line.</p><pre><code>shotdex classify --prompts FILE</code></pre></div>`;
  const fits = numbers.key === key && numbers.value;
  return html`<div class="narrow"><h1 class="hidden">Evaluate</h1><${Controls} run=${run} /><${Next} run=${run} against=${against} />
    <${Trouble} problem=${numbers.problem} />
    ${!fits && !numbers.problem && html`<p class="waiting" role="status">Computing the intervals…</p>`}
    ${fits && (against ? html`<${TwoRuns} compared=${numbers.value} baseline=${baseline} run=${run} against=${against} />` : html`<${OneRun} report=${numbers.value} baseline=${baseline} />`)}
    ${fits && html`<${AsCommand} command=${against ? `shotdex compare ${shell(run)} ${shell(against)} --by ${by}\nshotdex report ${shell(run)} ${shell(against)} --out report.html` : `shotdex report ${shell(run)} --by ${by}\nshotdex report ${shell(run)} --out report.html`} sql=${by.includes(",") || by === "split" ? `SELECT ${by}, count(*) AS n, avg(correct::INT) AS accuracy FROM outcomes\nWHERE run = ${literal(run)} AND correct IS NOT NULL GROUP BY ALL ORDER BY ALL` : `FROM accuracy_by_${by} WHERE run IN (${[run, against].filter(Boolean).map(literal).join(", ")})`} />`}
    <${Trouble} problem=${matrix.problem} />
    ${matrix.value && html`<${Matrices} run=${run} against=${against} found=${matrix.value} /><${AsCommand} command=${`shotdex plot confusion --run ${shell(run)} --out confusion.png`} sql=${`SELECT category, predicted, images FROM confusion WHERE run = ${literal(run)}`} />`}
    <${Behind} run=${run} against=${against} />
    ${baseline && html`<${People} run=${run} name=${baseline.name} />`}
    ${fits && !against && html`<${Classes} report=${numbers.value} /><${Reliability} bins=${numbers.value.reliability} run=${run} />`}
  </div>`;
}

function Classes({ report }) {
  const rows = report.classes.map((one) => ({ ...one, key: one.name }));
  const column = (name) => ({ head: name, cell: (row) => html`<${Number_} estimate=${row[name]} stacked />` });
  const ranks = report.top_k.map((estimate, index) => ({ key: index, k: index + 1, estimate }));
  return html`<div class="columns"><section><h2>Each class</h2><${Table} caption=${`Classes of ${report.run.name}`} rows=${rows} columns=${[{ head: "class", row: true, cell: (row) => row.name }, { head: "images", number: true, cell: (row) => count(row.recall.n) }, column("recall"), column("precision"), column("f1")]} /></section>
    <section><h2>Among the k best</h2><${Table} caption="How often the true category is among an image’s k best" rows=${ranks} columns=${[{ head: "k", row: true, cell: (row) => row.k }, { head: "accuracy, 95 % interval", cell: (row) => html`<${Number_} estimate=${row.estimate} />` }, { head: "0 to 1", cell: (row) => html`<${Bar} estimates=${[row.estimate]} />` }]} /></section></div>`;
}

// Whether a probability means what it says: a run that is well calibrated is right 7 times in 10 where it says 0.7.
function Reliability({ bins, run }) {
  const rows = bins.map((one) => ({ ...one, key: one.low }));
  return html`<section><h2>Does a probability mean what it says?</h2><p class="muted">Where the mean probability (dashed) is outside the interval, ${run} is too sure or not sure enough.</p>
    <${Table} caption="Images by the probability of the predicted class" rows=${rows} columns=${[
      { head: "probability", row: true, cell: (row) => `${row.low.toFixed(2)} to ${row.high.toFixed(2)}` },
      { head: "images", number: true, cell: (row) => count(row.accuracy.n) },
      { head: "mean probability", number: true, cell: (row) => share(row.confidence) },
      { head: "right, 95 % interval", cell: (row) => html`<${Number_} estimate=${row.accuracy} />` },
      { head: "0 to 1", cell: (row) => html`<${Bar} estimates=${[row.accuracy]} marks=${[{ value: row.confidence, name: `mean probability ${share(row.confidence)}` }]} />` },
    ]} />
    <${AsCommand} command=${`shotdex plot reliability --run ${shell(run)} --out reliability.png`} /></section>`;
}
