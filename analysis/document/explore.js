"use strict";
// A run without some of its prompts, classes and conditions: the same arithmetic, in the same order, as `Cosines` in
// analysis/document/explore.py, which checked it against the stored run when this file was written.
(() => {
  const data = JSON.parse(document.getElementById("explore-data").textContent);
  const form = document.getElementById("explore-form");
  const floats = (packed) => new Float32Array(Uint8Array.from(atob(packed), (c) => c.charCodeAt(0)).buffer);
  const cosines = floats(data.cosines);
  const products = data.products.map(floats);
  const images = data.truth.length;
  const prompts = data.owner.length;
  const starts = [];
  data.owner.forEach((owner, place) => { if (starts[owner] === undefined) starts[owner] = place; });
  starts.push(prompts);

  const boxes = (kind) => [...form.querySelectorAll(`input[data-${kind}]`)];
  const ticked = (kind) => boxes(kind).map((box) => box.checked);

  // Class by class, the numbers of its ticked prompts and the length that the sum of their cosines is divided by.
  function choices() {
    const prompt = ticked("prompt");
    const found = [];
    ticked("class").forEach((wanted, number) => {
      if (!wanted) return;
      const own = [];
      for (let place = starts[number]; place < starts[number + 1]; place++) if (prompt[place]) own.push(place);
      if (!own.length) return;
      const size = starts[number + 1] - starts[number];
      let squared = 0;
      for (const a of own) for (const b of own) {
        squared += products[number][(a - starts[number]) * size + b - starts[number]];
      }
      found.push({ number, own, length: own.length > 1 ? Math.sqrt(squared) : 1 });
    });
    return found;
  }

  function score(image, choice) {
    let best = -Infinity, sum = 0;
    for (const place of choice.own) {
      const cosine = cosines[image * prompts + place];
      if (cosine > best) best = cosine;
      sum += cosine;
    }
    return data.combine === "max" ? best : sum / choice.length;
  }

  function wilson(right, n) {
    const z = 1.9599639845400536, share = right / n;
    const centre = (share + z * z / (2 * n)) / (1 + z * z / n);
    const half = z / (1 + z * z / n) * Math.sqrt(share * (1 - share) / n + z * z / (4 * n * n));
    return [right === 0 ? 0 : centre - half, right === n ? 1 : centre + half];
  }

  // The exact McNemar test: twice the binomial tail at 1/2, at most 1.
  function mcnemar(gained, lost) {
    const n = gained + lost;
    let term = -n * Math.LN2, tail = 0;
    for (let i = 0; i <= Math.min(gained, lost); i++) {
      tail += Math.exp(term);
      term += Math.log((n - i) / (i + 1));
    }
    return gained === lost ? 1 : Math.min(1, 2 * tail);
  }

  function show(values) {
    for (const [key, value] of Object.entries(values)) document.getElementById(`explore-${key}`).textContent = value;
  }

  function update() {
    const chosen = choices();
    const among = new Set(chosen.map((choice) => choice.number));
    const conditions = boxes("condition").length ? ticked("condition") : null;
    let n = 0, right = 0, gained = 0, lost = 0;
    for (let image = 0; image < images; image++) {
      const truth = data.truth[image];
      if (!among.has(truth) || (conditions && !conditions[data.condition[image]])) continue;
      let best = -Infinity, taken = -1;
      for (const choice of chosen) {
        const own = score(image, choice);
        if (own > best) { best = own; taken = choice.number; }
      }
      const before = data.stored[image] === truth, now = taken === truth;
      n++;
      right += now;
      gained += now && !before;
      lost += before && !now;
    }
    const [low, high] = n ? wilson(right, n) : [];
    const p = mcnemar(gained, lost);
    show({
      accuracy: n ? (right / n).toFixed(4) : "–",
      interval: n ? `${low.toFixed(4)} to ${high.toFixed(4)}` : "–",
      n: String(n),
      "now-right": String(gained),
      "now-wrong": String(lost),
      p: p < 1e-4 ? p.toExponential(2) : p.toFixed(4),
    });
  }

  form.addEventListener("change", update);
  document.getElementById("explore-all").addEventListener("click", () => {
    for (const box of form.querySelectorAll("input")) box.checked = true;
    update();
  });
  form.classList.add("ready");
  update();
})();
