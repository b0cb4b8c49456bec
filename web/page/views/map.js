// Every image near those it resembles: colours, thumbnails, a lasso with a verdict, prompts as stars.
import { html, useEffect, useMemo, useRef, useState } from "../vendor/ui.js";
import { bytes, imageAddress, offline, post, runPath, store, useLoaded } from "../api.js";
import { choose, chosen, go, state } from "../state.js";
import { tableFromIPC } from "../vendor/map.js";
import { AsCommand } from "../parts/command.js";
import { counted, shell } from "../parts/format.js";
import { Trouble } from "../parts/problem.js";
import { draft, problems, promptSet } from "../parts/editor.js";
import { Gestures } from "../map/gestures.js";
import { COLOURS, GREY, Painter, ramp } from "../map/paint.js";
import { Legend } from "../map/legend.js";
import { inside, points, readLasso, writeLasso } from "../map/points.js";
import { Verdict } from "../map/verdict.js";

const JUDGED = ["predicted", "correct", "true_rank", "probability"]; // columns of a run

// Colours as `plot map` names them; it has none for the others.
const NAMED = { category: "category", condition: "condition", split: "split", correct: "correct", predicted: "predicted", probability: "confidence" };

function commandLine(map, color, run) {
  const words = ["shotdex plot map --out map.png --method", map.method, "--space", map.space];
  if (map.where) words.push("--where", shell(map.where));
  if (NAMED[color]) words.push("--color", NAMED[color]);
  if (JUDGED.includes(color)) words.push("--run", shell(run));
  return words.join(" ");
}

// Kinds as small numbers, and their names: most frequent first; what has none is last, and grey.
async function kinds(id, column, options) {
  const table = tableFromIPC(new Uint8Array(await bytes(`maps/${id}/columns/${encodeURIComponent(column)}`, {}, options)));
  const values = table.getChildAt(0).toArray();
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const names = [...counts.keys()].filter((name) => name !== null && name !== undefined).sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
  const codes = new Map(names.map((name, code) => [name, code]));
  const colour = names.length && names.every((name) => typeof name === "number") ? scale(names) : (_, code) => COLOURS[code] ?? GREY;
  const all = names.map((name, code) => ({ name: String(name), n: counts.get(name), colour: colour(name, code) }));
  const without = values.length - all.reduce((sum, one) => sum + one.n, 0);
  if (without) all.push({ name: "none", n: without, colour: GREY, none: true });
  return { codes: Uint16Array.from(values, (value) => codes.get(value) ?? names.length), all };
}

function scale(numbers) {
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  return (value) => ramp((value - low) / (high - low || 1));
}

function Canvas({ id, painter, gestures, found, coloured, hidden, keys, acts, words }) {
  const canvas = useRef();
  useEffect(() => {
    painter.current = new Painter(canvas.current);
    gestures.current = new Gestures(painter.current, acts);
    const watch = new ResizeObserver(() => painter.current.resize());
    watch.observe(canvas.current);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const again = () => painter.current.ask();
    scheme.addEventListener("change", again);
    painter.current.resize();
    painter.current.onPaint = () => {
      canvas.current.dataset.painted = painter.current.painted;
      canvas.current.dataset.milliseconds = painter.current.milliseconds.toFixed(1);
      canvas.current.dataset.view = painter.current.inView.length;
      acts.painted();
    };
    return () => {
      watch.disconnect();
      scheme.removeEventListener("change", again);
    };
  }, []);
  useEffect(() => {
    if (!found) return;
    painter.current.map = id;
    painter.current.open(found);
    gestures.current.index();
    acts.opening();
  }, [found]);
  useEffect(() => {
    if (!coloured || !found || coloured.codes.length !== found.ids.length) return;
    painter.current.kinds = coloured.codes;
    painter.current.palette = coloured.all.map((one) => one.colour);
    painter.current.hidden = hidden;
    painter.current.ask();
  }, [coloured, hidden, found]);
  return html`<canvas ref=${canvas} tabindex="0" role="application" aria-label=${words} aria-describedby="map-keys" onKeyDown=${keys}></canvas>`;
}

export function MapView() {
  const { maps, runs, generation } = store.value;
  const known = maps.map((one) => String(one.map));
  const id = known.includes(state.value.map) ? state.value.map : known.at(-1);
  const run = state.value.run || runs.at(-1)?.name || "";
  const [plain, setPlain] = useState(false);
  const color = state.value.color || (plain ? "predicted" : "category");
  const [lassoing, setLassoing] = useState(false);
  const [hidden, setHidden] = useState(new Set());
  const [hover, setHover] = useState(null);
  const [star, setStar] = useState("");
  const [prompts, setPrompts] = useState("");
  const [empty, setEmpty] = useState(false);
  const painter = useRef();
  const gestures = useRef();
  const timer = useRef();
  const map = useLoaded(id ? `${id} ${generation}` : null, (options) => points(id, options));
  const columns = ["category", "condition", "split", "source", ...(runs.length ? ["predicted", "correct", "true_rank", "probability"] : [])];
  const column = JUDGED.includes(color) ? `${color}:${decodeURIComponent(runPath(run))}` : color;
  const coloured = useLoaded(id ? `${id} ${column} ${generation}` : null, (options) => kinds(id, column, options));
  useEffect(() => setHidden(new Set()), [column, id]);
  // A map of images without a category is coloured by what the run takes them for.
  useEffect(() => {
    if (coloured.value && !state.value.color && runs.length && coloured.value.all.every((kind) => kind.none)) setPlain(true);
  }, [coloured.value]);

  const acts = useMemo(() => ({
    lassoed: (polygon) => pick(polygon),
    hovered: (at, x, y) => setHover(at < 0 ? null : { at, x, y }),
    opened: (at) => go({ open: String(painter.current.points.ids[at]) }),
    moved: () => {
      clearTimeout(timer.current);
      timer.current = setTimeout(() => {
        const [x, y, k] = gestures.current.middle;
        if (state.value.view === "map") go({ at: k === 1 && Math.abs(x - 0.5) + Math.abs(y - 0.5) < 0.001 ? "" : [x.toFixed(4), y.toFixed(4), k.toFixed(3)].join(",") }, { replace: true });
      }, 300);
    },
    painted: () => setEmpty(painter.current.points.ids.length > 0 && painter.current.inView.length === 0),
    opening: () => {
      showAt(state.value.at);
      const lasso = readLasso(state.value.lasso);
      if (lasso?.map === painter.current.map) pick(lasso.polygon);
    },
  }), []);

  const pick = (shape) => {
    const { current: on } = painter;
    const polygon = shape.map((place) => place.map((one) => Number(one.toFixed(4)))); // as the address keeps it
    const began = performance.now();
    const places = inside(on.points, polygon, (at) => on.visible(at));
    on.canvas.dataset.lasso = (performance.now() - began).toFixed(1);
    choose(places.map((at) => on.points.ids[at]).sort((a, b) => a - b), on.hidden.size ? "" : writeLasso(on.map, polygon));
    setLassoing(false);
    gestures.current.lassoing = false;
  };
  const showAt = (at) => {
    const { current: on } = painter;
    if (at.startsWith("id:")) {
      const place = on.index.get(Number(at.slice(3)));
      on.focused = place ?? -1;
      if (place !== undefined) gestures.current.show(on.points.x[place], on.points.y[place], 8);
    } else if (at) gestures.current.show(...at.split(",").map(Number));
    else gestures.current.fit();
  };
  useEffect(() => {
    if (state.value.at.startsWith("id:") && painter.current?.index) showAt(state.value.at);
  }, [state.value.at]);

  // What is chosen stays bright.
  useEffect(() => {
    const { current: on } = painter;
    if (!on || !map.value) return;
    on.bright = null;
    if (chosen.value) {
      on.bright = new Uint8Array(map.value.ids.length);
      for (const one of chosen.value) if (on.index.has(one)) on.bright[on.index.get(one)] = 1;
    }
    on.ask();
  }, [chosen.value, map.value]);

  // Stars: the prompts of a run, or one that is being typed.
  const tried = prompts === "tried" && draft.value && !problems(draft.value).length ? promptSet(draft.value).classes : {};
  const starKey = id && map.value && (star.trim() || prompts) ? JSON.stringify([id, star, prompts, run, tried, generation]) : null;
  const stars = useLoaded(starKey, (options) => post("live/places", { projection_id: Number(id), texts: star.trim() ? [star.trim()] : [], classes: tried, run: prompts === "run" ? run : null }, options));
  useEffect(() => {
    if (!painter.current) return;
    painter.current.stars = starKey ? (stars.value?.places ?? painter.current.stars) : [];
    painter.current.ask();
  }, [stars.value, starKey]);

  const lasso = (on) => {
    setLassoing(on);
    gestures.current.lassoing = on;
  };
  const keys = (event) => {
    const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    const act = {
      "+": () => gestures.current.zoom(1.5),
      "=": () => gestures.current.zoom(1.5),
      "-": () => gestures.current.zoom(1 / 1.5),
      0: () => gestures.current.fit(),
      l: () => pick(gestures.current.view),
      L: () => pick(gestures.current.view),
      Escape: () => {
        if (!gestures.current.drop() && !lassoing) choose(null);
        lasso(false);
      },
    }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || !(step || act)) return;
    event.preventDefault();
    if (step) gestures.current.pan(...step);
    else act();
  };

  if (!id) return html`<div class="first"><h1>No map yet</h1><p>A map places every image near those it resembles.</p><pre><code>shotdex plot map --out map.png</code></pre></div>`;
  const words = `Map of ${counted(map.value?.ids.length ?? 0, "image")}`;
  return html`<div class="map-view">
    <div class="controls"><h1 class="hidden">Map</h1>
      ${maps.length > 1 && html`<label class="field"><span>Map</span><select value=${id} onChange=${(event) => go({ map: event.target.value, at: "", lasso: "" })}>${maps.map((one) => html`<option value=${one.map}>${`${one.map}: ${one.method}, ${counted(one.images, "image")}${one.where ? `, ${one.where}` : ""}`}</option>`)}</select></label>`}
      <label class="field"><span>Colour</span><select value=${color} onChange=${(event) => go({ color: event.target.value })}>${columns.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
      ${runs.length > 0 && html`<label class="field"><span>Run</span><select value=${run} onChange=${(event) => go({ run: event.target.value })}>${runs.map((one) => html`<option value=${one.name}>${one.name}</option>`)}</select></label>`}
      ${!offline.answers && html`<label class="field"><span>A text as a star</span><input type="text" value=${star} maxlength="500" placeholder="type to place it" onInput=${(event) => setStar(event.target.value)} /></label>`}
      ${!offline.answers && html`<label class="field"><span>Prompts as stars</span><select value=${prompts} onChange=${(event) => setPrompts(event.target.value)}><option value="">none</option>${run && html`<option value="run">those of ${run}</option>`}${draft.value && html`<option value="tried">those being tried</option>`}</select></label>`}
    </div>
    <${Trouble} problem=${map.problem ?? coloured.problem ?? stars.problem} />
    <div class="map-row">
      <div class=${`map ${lassoing ? "lassoing" : ""}`}>
        <${Canvas} id=${id} painter=${painter} gestures=${gestures} found=${map.value} coloured=${coloured.value} hidden=${hidden} keys=${keys} acts=${acts} words=${words} />
        <div class="map-buttons">
          <button type="button" aria-pressed=${String(lassoing)} onClick=${() => lasso(!lassoing)}>Lasso</button>
          <button type="button" onClick=${() => pick(gestures.current.view)}>Select what is in view</button>
          <button type="button" onClick=${() => gestures.current.fit()}>Fit</button>
          <button type="button" aria-label="Zoom in" onClick=${() => gestures.current.zoom(1.6)}>+</button>
          <button type="button" aria-label="Zoom out" onClick=${() => gestures.current.zoom(1 / 1.6)}>−</button>
        </div>
        ${empty && html`<p class="nothing muted">No image is in view.</p>`}
        ${hover && html`<${Hover} hover=${hover} painter=${painter.current} coloured=${coloured.value} />`}
      </div>
      <div class="map-side">
        <${Legend} kinds=${coloured.value?.all ?? []} hidden=${hidden} onHidden=${setHidden} name=${color} />
        <${Verdict} run=${run} />
      </div>
    </div>
    <p id="map-keys" class="muted keys">Drag to move, scroll to zoom, click an image to open it. Keys: arrows move, <kbd>+</kbd> <kbd>−</kbd> zoom, <kbd>0</kbd> fits, <kbd>L</kbd> selects what is in view, <kbd>Esc</kbd> clears. Shift and drag draws a lasso.</p>
    <${AsCommand} command=${commandLine(maps.find((one) => String(one.map) === id), color, run)} sql=${`SELECT image_id, x, y FROM projection_points WHERE projection_id = ${id}`} />
  </div>`;
}

function Hover({ hover, painter, coloured }) {
  const id = painter.points.ids[hover.at];
  const kind = coloured?.all[painter.kinds?.[hover.at]];
  const flip = hover.x > painter.box.width - 180;
  return html`<div class="hover" style=${{ left: `${flip ? hover.x - 150 : hover.x + 16}px`, top: `${Math.min(hover.y + 12, painter.box.height - 150)}px` }} aria-hidden="true"><img src=${imageAddress(id, 192)} alt="" /><span>${kind?.name ?? ""}</span></div>`;
}
