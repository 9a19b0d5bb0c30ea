// Draws the page from the JSON in it. No text of the data is ever parsed as HTML: nodes and text nodes only.
"use strict";
(() => {
const data = JSON.parse(document.getElementById("penstock-data").textContent);
const { plan, stats, history: past } = data;
const root = document.getElementById("report");

// --- nodes ---
const SVG = "http://www.w3.org/2000/svg";
function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) if (value !== null) node.setAttribute(key, value);
  for (const child of children.flat(3)) if (child !== null && child !== undefined) node.append(child);
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const sv = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// --- numbers as text ---
const count = (n) => Math.round(n).toLocaleString("en-US");
function short(n) {
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) if (n >= size) return `${+(n / size).toPrecision(3)} ${unit}`;
  return `${+n.toPrecision(3)}`;
}
function bytes(n) {
  for (const [unit, size] of [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) if (n >= size) return `${+(n / size).toPrecision(3)} ${unit}`;
  return `${Math.round(n)} B`;
}
function time(s) {
  if (s < 1e-3) return `${Math.round(s * 1e6)} µs`;
  if (s < 1) return `${+(s * 1e3).toPrecision(3)} ms`;
  if (s < 120) return `${+s.toPrecision(3)} s`;
  return s < 7200 ? `${(s / 60).toFixed(1)} min` : `${(s / 3600).toFixed(1)} h`;
}
const percent = (x) => `${x > 0 && x < 0.1 ? (100 * x).toFixed(1) : Math.round(100 * x)} %`;
const ratio = (a, b) => (b > 0 ? a / b : 0);
const most = (list) => list.reduce((a, b) => Math.max(a, b), 0);
const cut = (text, n) => (text.length > n ? `${[...text].slice(0, n - 1).join("")}…` : text);

// --- parts of the page ---
function card(id, title, ...children) {
  const section = el("section", { class: "card", id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, title), children);
  root.append(section);
  return section;
}
function table(head, rows, numeric = []) {
  const cell = (tag, content, i) => el(tag, { class: numeric.includes(i) ? "n" : null, scope: tag === "th" ? (head ? null : "row") : null }, content);
  return el("div", { class: "scroll" }, el("table", {},
    head && el("thead", {}, el("tr", {}, head.map((h, i) => el("th", { class: numeric.includes(i) ? "n" : null, scope: "col" }, h)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((c, i) => cell(i === 0 ? "th" : "td", c, i)))))));
}
const legend = (items) => el("ul", { class: "legend" }, items.map(([name, color, kind]) =>
  el("li", {}, el("i", { class: kind || null, style: kind ? `border-color:${color}` : `background:${color}` }), name)));

// Charts are drawn for the width they have, so that text keeps its size; again when that changes.
const drawn = [];
function figure(label, height, draw, caption) {
  const svg = sv("svg", { role: "img", "aria-label": label, height });
  const node = el("figure", {}, svg, caption ? el("figcaption", {}, caption) : null);
  let last = 0;
  drawn.push((width) => {
    const w = Math.max(220, Math.round(width || svg.parentNode.clientWidth));
    if (w === last || !svg.isConnected) return;
    last = w;
    svg.setAttribute("viewBox", `0 0 ${w} ${height}`);
    svg.replaceChildren(sv("title", {}, label));
    draw(svg, w, height);
  });
  return node;
}

// --- scales and axes ---
function ticks(max, about) {
  if (!(max > 0)) return [0];
  const raw = max / about, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * size).find((s) => s >= raw * 0.999);
  const out = [];
  for (let i = 0; i * step <= max * 1.0001; i++) out.push(i * step);
  return out;
}
function logTicks(min, max) {
  const out = [];
  for (let e = Math.floor(Math.log10(min)); e <= Math.ceil(Math.log10(max)); e++)
    for (const m of [1, 2, 5]) if (m * 10 ** e >= min * 0.999 && m * 10 ** e <= max * 1.001) out.push(m * 10 ** e);
  return out;
}
// An area with axes: x and y are {max, min?, log?, label, format, ticks?}; returns scales.
function axes(svg, w, h, x, y, box = {}) {
  const m = { left: 64, right: 14, top: 14, bottom: 40, ...box };
  const W = w - m.left - m.right, H = h - m.top - m.bottom;
  const lx = (v) => (x.log ? Math.log(v / x.min) / Math.log(x.max / x.min) : (v - (x.min || 0)) / ((x.max - (x.min || 0)) || 1));
  const ly = (v) => (v - (y.min || 0)) / ((y.max - (y.min || 0)) || 1);
  const X = (v) => m.left + lx(v) * W, Y = (v) => m.top + H - ly(v) * H;
  const g = sv("g", { class: "axis" });
  for (const t of y.ticks || ticks(y.max, 4)) {
    g.append(sv("line", { class: "grid", x1: m.left, x2: m.left + W, y1: Y(t), y2: Y(t) }));
    g.append(sv("text", { x: m.left - 8, y: Y(t) + 4, "text-anchor": "end" }, y.format(t)));
  }
  let xs = x.ticks || (x.log ? logTicks(x.min, x.max) : ticks(x.max, Math.max(3, W / 90)));
  while (x.log && xs.length * 46 > W) xs = xs.filter((_, i) => i % 2 === 0);
  for (const t of xs) {
    g.append(sv("line", { class: "base", x1: X(t), x2: X(t), y1: m.top + H, y2: m.top + H + 4 }));
    g.append(sv("text", { x: X(t), y: m.top + H + 17, "text-anchor": "middle" }, x.format(t)));
  }
  g.append(sv("line", { class: "base", x1: m.left, x2: m.left + W, y1: m.top + H, y2: m.top + H }));
  g.append(sv("text", { x: m.left + W / 2, y: h - 5, "text-anchor": "middle" }, x.label));
  g.append(sv("text", { x: 13, y: m.top + H / 2, "text-anchor": "middle", transform: `rotate(-90 13 ${m.top + H / 2})` }, y.label));
  svg.append(g);
  return { X, Y, W, H, m };
}
const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
const area = (top, bottom) => (top.length ? `${line(top)}${line([...bottom].reverse()).replace("M", "L")}Z` : "");

// --- the run over time, in even steps ---
const end = stats.last_batch_seconds || past.seconds[past.seconds.length - 1] || 0;
const enough = past.seconds.filter((s) => s <= end).length >= 3;
function at(series, t) {
  const s = past.seconds;
  if (!s.length || t <= 0) return 0;
  let i = s.findIndex((v) => v >= t);
  if (i < 0) return series[series.length - 1];
  const s0 = i ? s[i - 1] : 0, v0 = i ? series[i - 1] : 0;
  return v0 + (series[i] - v0) * ratio(t - s0, s[i] - s0);
}
const bins = Math.max(1, Math.min(60, Math.floor(past.seconds.length / 2), Math.floor(stats.batches / 2)));
const edges = Array.from({ length: bins + 1 }, (_, i) => (end * i) / bins);
const growth = (series) => edges.slice(1).map((t, i) => at(series, t) - at(series, edges[i]));
const steps = (values, X, Y) => values.flatMap((v, i) => [[X(edges[i]), Y(v)], [X(edges[i + 1]), Y(v)]]);
const timeAxis = { max: end, label: "time since the first epoch began, s", format: (t) => `${+t.toPrecision(4)}` };
const epochStarts = past.seconds.map((t, i) => [t, past.epoch[i]]).filter(([t], i) => i > 0 && past.epoch[i] !== past.epoch[i - 1] && t < end);
function markEpochs(svg, a) {
  if (epochStarts.length > 12) return;
  for (const [t, epoch] of epochStarts) {
    svg.append(sv("line", { x1: a.X(t), x2: a.X(t), y1: a.m.top, y2: a.m.top + a.H, stroke: "var(--soft)", "stroke-dasharray": "2 3" }));
    svg.append(sv("text", { class: "axis", x: a.X(t) + 4, y: a.m.top + 9 }, `epoch ${epoch}`));
  }
}
const tooShort = () => el("p", { class: "note" }, stats.batches ? "The run was too short to draw it over time." : "No batch has been delivered yet.");

// --- head ---
const cellsPerSecond = ratio(stats.rows, stats.last_batch_seconds);
const loop = stats.consumer_wait_seconds + stats.consumer_busy_seconds;
const tile = (value, text) => el("div", { class: "tile" }, el("b", {}, value), el("span", {}, text));
root.append(el("div", { class: "tiles" },
  tile(stats.batches ? count(cellsPerSecond) : "–", "cells per second"),
  tile(stats.batches ? `${bytes(ratio(stats.bytes_read, stats.last_batch_seconds))}/s` : "–", "read from files"),
  tile(bytes(stats.memory.peak), `held at most, of ${bytes(stats.memory.limit)}`),
  tile(stats.batches ? time(stats.first_batch_seconds) : "–", "until the first batch"),
  tile(loop > 0 ? percent(stats.consumer_wait_seconds / loop) : "–", "of the loop's time spent waiting for data"),
  plan.shuffle ? tile(count(plan.q_eff), `independent cells that a batch of ${count(plan.batch_size)} is worth, or more`) : tile("file order", "no shuffling")));
card("verdict", data.verdict.title, data.verdict.advice.map((text) => el("p", {}, text)),
  plan.notes.map((text) => el("p", { class: "note" }, `Note: ${text}`))).classList.add("verdict");

// --- throughput ---
{
  const perSecond = (n, i) => ratio(n, edges[i + 1] - edges[i]);
  const rates = growth(past.rows).map(perSecond), decoded = growth(past.rows_decoded).map(perSecond);
  const top = 1.1 * Math.max(most(decoded), Math.min(most(rates), 3 * Math.max(most(decoded), cellsPerSecond)));
  card("throughput", "Throughput", enough ? [
    figure(`Line chart: cells delivered per second over ${time(end)}; ${count(cellsPerSecond)} cells/s on average, between ${count(Math.min(...rates))} and ${count(most(rates))}.`, 230, (svg, w, h) => {
      const a = axes(svg, w, h, timeAxis, { max: top, label: "cells/s", format: short });
      const points = steps(rates.map((r) => Math.min(r, top)), a.X, a.Y);
      svg.append(sv("path", { d: area(points, [[a.X(0), a.Y(0)], [a.X(end), a.Y(0)]]), fill: "var(--orange)", opacity: 0.35 }));
      svg.append(sv("path", { class: "series", d: line(points), fill: "none", stroke: "var(--orange)", "stroke-width": 1.5, "stroke-linejoin": "round" }));
      svg.append(sv("path", { class: "series", d: line(steps(decoded, a.X, a.Y)), fill: "none", stroke: "var(--blue)", "stroke-width": 2, "stroke-linejoin": "round" }));
      svg.append(sv("line", { x1: a.X(0), x2: a.X(end), y1: a.Y(cellsPerSecond), y2: a.Y(cellsPerSecond), stroke: "var(--ink)", "stroke-dasharray": "6 4" }));
      markEpochs(svg, a);
    }),
    legend([["decoded into the window", "var(--blue)", "rule"], ["handed to the training loop", "var(--orange)"], [`mean: ${count(cellsPerSecond)} cells/s`, "var(--ink)", "rule dash"]]),
    el("p", { class: "note" }, `Batches come out when their window is full: a loop that always waits gets them in bursts, one that works between batches gets them evenly.${most(rates) > top ? ` Bursts are cut off at the top: the fastest was ${count(most(rates))} cells/s.` : ""}`),
  ] : tooShort());
}

// --- time ---
{
  const other = Math.max(0, stats.worker_idle_seconds - stats.idle_for_reads_seconds - stats.idle_for_pages_seconds - stats.idle_for_consumer_seconds);
  const threads = [
    ["read", stats.worker_read_seconds, "var(--sky)", "bytes from the page cache or storage, by the decode threads themselves"],
    ["decompress", stats.decompress_seconds, "var(--blue)", "codecs and their filters"],
    ["unpack", Math.max(0, stats.decode_seconds - stats.decompress_seconds - stats.scatter_seconds), "var(--brown)", "decompressed bytes to rows, labels"],
    ["scatter", stats.scatter_seconds, "var(--green)", "rows, compact, to their places in the window"],
    ["assemble", stats.assemble_seconds, "var(--orange)", "batches out of the window"],
    ["idle: waiting for reads", stats.idle_for_reads_seconds, "var(--red)", "the next bytes were not there yet"],
    ["idle: no room in the window", stats.idle_for_pages_seconds, "var(--purple)", "every page was taken: the budget, or a slow loop behind it"],
    ["idle: batches wait for the loop", stats.idle_for_consumer_seconds, "var(--grey)", "all the batches there is room for were built"],
    ["idle: other", other, "var(--line)", "start, end, the last block of a window"],
  ];
  const loopParts = [
    ["waiting for data", stats.consumer_wait_seconds, "var(--red)", "inside next()"],
    ["own work", stats.consumer_busy_seconds, "var(--grey)", "between two next() calls: the model"],
  ];
  const sum = (parts) => parts.reduce((a, p) => a + p[1], 0);
  const groups = [[`decode threads (${plan.threads})`, threads], ["training loop", loopParts]];
  const say = (name, parts) => `${name}: ${parts.filter((p) => p[1] > 0).map((p) => `${p[0]} ${percent(ratio(p[1], sum(parts)))}`).join(", ")}`;
  const waits = growth(past.consumer_wait_seconds), works = growth(past.consumer_busy_seconds);
  const idles = growth(past.worker_idle_seconds);
  const busy = ["worker_read_seconds", "decode_seconds", "assemble_seconds"].map((k) => growth(past[k]));
  const waitShare = waits.map((v, i) => Math.min(1, ratio(v, v + works[i])));
  const idleShare = idles.map((v, i) => Math.min(1, ratio(v, v + busy[0][i] + busy[1][i] + busy[2][i])));
  card("time", "Where the time went, and who waited for whom", loop > 0 ? [
    figure(groups.map(([n, p]) => say(n, p)).join(". "), 118, (svg, w) => {
      groups.forEach(([name, parts], row) => {
        const total = sum(parts), y = row * 56 + 18;
        svg.append(sv("text", { x: 0, y: y - 5 }, `${name}: ${time(total)}${row ? "" : " in all"} = 100 %`));
        let x = 0;
        for (const [part, seconds, color] of parts) {
          const width = ratio(seconds, total) * w;
          if (width < 0.5) continue;
          svg.append(sv("rect", { class: "bar", x, y, width: Math.max(0.5, width - 1), height: 24, fill: color, rx: 2 }, sv("title", {}, `${part}: ${time(seconds)}`)));
          x += width;
        }
      });
      for (const t of [0, 0.25, 0.5, 0.75, 1]) svg.append(sv("text", { class: "axis", x: t * w, y: 114, "text-anchor": t === 0 ? "start" : t === 1 ? "end" : "middle" }, percent(t)));
    }),
    el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ["", "seconds", "share", "what it is"].map((t, i) => el("th", { scope: "col", class: i === 1 || i === 2 ? "n" : null }, t)))),
      el("tbody", {}, groups.flatMap(([name, parts]) => parts.filter((p) => p[1] > 0).map(([part, seconds, color, text]) => el("tr", {},
        el("th", { scope: "row" }, el("i", { style: `display:inline-block;width:12px;height:12px;border-radius:2px;margin-right:8px;vertical-align:-1px;background:${color}` }), `${name.replace(/s? \(.*/, "s")}: ${part}`),
        el("td", { class: "n" }, seconds.toFixed(2)), el("td", { class: "n" }, percent(ratio(seconds, sum(parts)))), el("td", {}, text))))))),
    el("p", { class: "note" }, `Readers (${plan.io_threads} I/O threads, asleep most of the time) spent ${time(Math.max(0, stats.read_seconds - stats.worker_read_seconds))} in reads beside this, many at once.`),
    enough ? [el("h3", {}, "Over time"),
      figure(`Line chart over ${time(end)}: share of time that the training loop waited for data, ${percent(ratio(stats.consumer_wait_seconds, loop))} in all, and that the decode threads were idle, ${percent(ratio(stats.worker_idle_seconds, sum(threads)))} in all.`, 190, (svg, w, h) => {
        const a = axes(svg, w, h, timeAxis, { max: 1, label: "share of time", ticks: [0, 0.5, 1], format: (v) => `${100 * v} %` });
        svg.append(sv("path", { class: "series", d: line(steps(waitShare, a.X, a.Y)), fill: "none", stroke: "var(--red)", "stroke-width": 2 }));
        svg.append(sv("path", { class: "series", d: line(steps(idleShare, a.X, a.Y)), fill: "none", stroke: "var(--blue)", "stroke-width": 2, "stroke-dasharray": "7 3" }));
        markEpochs(svg, a);
      }), legend([["training loop waits for data", "var(--red)", "rule"], ["decode threads idle", "var(--blue)", "rule dash"]])] : null,
  ] : tooShort());
}

// --- memory ---
{
  const colors = { window: "var(--blue)", slots: "var(--orange)", fetch: "var(--green)", scratch: "var(--purple)", index: "var(--sky)", obs: "var(--red)", dense: "var(--brown)" };
  const uses = { window: "window_bytes_used", slots: "slot_bytes_used" };
  const texts = { window: "compact rows being shuffled", slots: "batches, being built, ready or with you", fetch: "bytes read ahead", scratch: "decode buffers of each thread", index: "metadata, row offsets", obs: "label codes", dense: "dense forms of batches" };
  const tags = Object.keys(colors).filter((t) => most(past.memory ? past.memory[t] || [] : []) > 0 || stats.memory.peak_by_tag[t] > 0);
  const limit = stats.memory.limit;
  // Up to the last sample of the run; after close() nothing is held.
  let n = past.seconds.length;
  while (n > 1 && past.seconds[n - 1] > end && tags.every((t) => past.memory[t][n - 1] === 0)) n--;
  const last = n ? past.seconds[n - 1] : 0;
  const say = tags.map((t) => `${t} ${bytes(stats.memory.peak_by_tag[t])}`).join(", ");
  card("memory", "Memory against the budget",
    el("p", {}, `Everything the loader holds is reserved from the budget before it is taken: pale is reserved, solid has something in it. Held at most: ${bytes(stats.memory.peak)} of ${bytes(limit)}.`),
    enough ? [figure(`Stacked areas: bytes by purpose over ${time(last)} under a budget line at ${bytes(limit)}. At most: ${say}.`, 290, (svg, w, h) => {
      const a = axes(svg, w, h, { ...timeAxis, max: last }, { max: limit * 1.08, label: "memory held", format: bytes }, { left: 78 });
      let base = new Array(n).fill(0);
      for (const tag of tags) {
        const held = past.memory[tag], top = base.map((b, i) => b + held[i]);
        const px = (values) => values.map((v, i) => [a.X(past.seconds[i]), a.Y(v)]);
        svg.append(sv("path", { class: "tag", d: area(px(top), px(base)), fill: colors[tag], opacity: uses[tag] ? 0.3 : 0.9 }));
        if (uses[tag]) {
          const used = past[uses[tag]];
          svg.append(sv("path", { d: area(px(base.map((b, i) => b + Math.min(held[i], used[i]))), px(base)), fill: colors[tag], opacity: 0.9 }));
        }
        svg.append(sv("path", { d: line(px(top)), fill: "none", stroke: "var(--card)", "stroke-width": 1 }));
        base = top;
      }
      svg.append(sv("line", { class: "budget", x1: a.X(0), x2: a.X(last), y1: a.Y(limit), y2: a.Y(limit), stroke: "var(--ink)", "stroke-width": 2, "stroke-dasharray": "7 4" }));
      svg.append(sv("text", { x: a.X(last), y: a.Y(limit) - 5, "text-anchor": "end" }, `budget ${bytes(limit)}`));
    }), legend([...tags].reverse().map((t) => [`${t}: ${texts[t]}`, colors[t]]))] : tooShort());
}

// --- shuffling ---
{
  const trade = data.trade_off, here = trade.here, points = trade.points;
  const wanted = 0.8 * Math.min(trade.batch_size, 1024);
  const section = card("mixing", "How well batches are mixed");
  if (plan.shuffle && points.length) {
    const lo = Math.min(points[0].block_rows, here.block_rows), hi = Math.max(points[points.length - 1].block_rows, here.block_rows);
    const curve = (key, max, label, text, format, extra) => figure(text, 236, (svg, w, h) => {
      const x = { log: true, min: lo, max: hi, label: "block size, cells (log)", format: short };
      const a = axes(svg, w, h, x, { max: max[1], min: max[0], label, format, ticks: max[2] }, { top: 30 });
      if (extra) extra(svg, a);
      svg.append(sv("path", { class: "series", d: line(points.map((p) => [a.X(p.block_rows), a.Y(Math.min(max[1], p[key]))])), fill: "none", stroke: "var(--blue)", "stroke-width": 2.5 }));
      const px = a.X(here.block_rows), py = a.Y(Math.min(max[1], here[key])), right = px < a.m.left + a.W * 0.55;
      svg.append(sv("line", { x1: px, x2: px, y1: py, y2: a.m.top + a.H, stroke: "var(--here)", "stroke-dasharray": "3 3" }));
      svg.append(sv("circle", { class: "here", cx: px, cy: py, r: 6, fill: "var(--here)", stroke: "var(--card)", "stroke-width": 2 }));
      svg.append(sv("text", { x: px + (right ? 11 : -11), y: py - 9, "text-anchor": right ? "start" : "end", "font-weight": 600, fill: "var(--here)" }, "you are here"));
    });
    const costs = points.map((p) => p.decode_cost - 1), costMax = Math.max(0.2, Math.min(1.2, most(costs) * 1.1));
    section.append(
      el("p", {}, `The epoch is read in blocks of about ${count(here.block_rows)} neighbouring cells, in random order; ${count(Math.min(here.blocks_in_window, plan.n_blocks))} of them are in the window of ${count(plan.window_rows)} cells at once, and a batch is drawn from all of these. Smaller blocks mix better; larger blocks decode less twice. More memory makes the window larger and lifts the whole curve.`),
      el("div", { class: "pair" },
        curve("q_eff", [0, Math.max(trade.batch_size, wanted) * 1.08], "independent cells", `Line chart: independent cells that a batch of ${count(trade.batch_size)} is worth, by block size, at the plan's window. Here: blocks of ${count(here.block_rows)} cells, worth ${count(here.q_eff)}.`, short, (svg, a) => {
          svg.append(sv("line", { x1: a.m.left, x2: a.m.left + a.W, y1: a.Y(wanted), y2: a.Y(wanted), stroke: "var(--soft)", "stroke-dasharray": "6 4" }));
          svg.append(sv("text", { class: "axis", x: a.m.left + a.W, y: a.Y(wanted) - 5, "text-anchor": "end" }, `aimed at: ${count(wanted)}`));
          const log = Math.log10(trade.window_rows / hi), top = Math.log10(trade.window_rows / lo);
          for (let e = Math.ceil(log); e <= top; e++) {
            const b = trade.window_rows / 10 ** e;
            svg.append(sv("text", { class: "axis", x: a.X(b), y: 12, "text-anchor": "middle" }, `B=${short(10 ** e)}`));
            svg.append(sv("line", { class: "base", x1: a.X(b), x2: a.X(b), y1: 17, y2: 22 }));
          }
        }),
        curve("decode_cost", [1, 1 + costMax, [1, 1 + costMax / 4, 1 + costMax / 2, 1 + 0.75 * costMax, 1 + costMax]], "decoding work, × once", `Line chart: decoding work relative to decoding every chunk once, by block size. Here: ${here.decode_cost.toFixed(2)} times.`, (v) => `${v.toFixed(2)}×`)),
      el("p", { class: "note" }, `Independent cells: what a batch of ${count(trade.batch_size)} is worth if all cells of a block share one label (the worst case); B is the number of blocks in the window. Decoding work: blocks end within chunks, whose heads are decoded twice${trade.rows_per_chunk ? `; a chunk holds about ${count(trade.rows_per_chunk)} cells` : ""}. The plan reads ${plan.read_amplification.toFixed(2)}× the bytes of the chunks.`));
  } else section.append(el("p", {}, "shuffle=False: batches come in file order, one after the other."));

  const mix = data.mixing;
  if (mix && mix.batches.length && mix.lines.length) {
    const panels = [["penstock", plan.shuffle ? "Penstock" : "This loader (file order)"], ["file_order", "File order"], ["full_shuffle", "Full shuffle"]];
    // A label's share of the batch, against its share of all cells.
    const bounds = [0.5, 2, 5, 20], shades = [0, 1, 2, 4, 5, 6];
    const names = ["none", "less than ½ ×", "about 1 ×", "2 to 5 ×", "5 to 20 ×", "more"];
    const whole = mix.line_cells.reduce((x, y) => x + y, 0);
    const L = mix.lines.length, B = mix.batches.length;
    const readout = el("p", { class: "readout", "aria-hidden": "true" }, "");
    // Lines of 12 pixels have a name each; where there is no room for that, every so many have one.
    const cells = Math.max(150, Math.min(720, L * 12)), ch = cells / L, step = Math.ceil(11 / ch);
    const longest = Math.max(...mix.lines.map((line) => [...cut(line, 18)].length));
    const each = mix.categories_per_line > 1 ? `; ${mix.categories_per_line} categories share a line` : "";
    section.append(el("h3", {}, `Batches × ${mix.label}`),
      el("p", {}, `${B} batches spread over epoch ${stats.epoch} (columns) and the ${count(mix.n_categories)} values of ${mix.label} (lines, in the order of the files${each})${mix.missing_cells ? `; the last line is the ${count(mix.missing_cells)} cells without a value` : ""}. A column of one dark cell is a batch with one label; the closer the left picture is to the right one, the better.`),
      el("div", { class: "panels" }, panels.map(([key, name]) => {
        const panel = mix[key];
        const totals = mix.batches.map((_, b) => panel.counts.slice(b * L, b * L + L).reduce((x, y) => x + y, 0));
        const node = figure(`Heat map, ${name}: ${B} batches by ${L} lines of ${mix.label}. Mean batch entropy ${panel.mean_entropy.toFixed(2)} bits of ${mix.entropy.toFixed(2)} in the whole set.`, cells + 40, (svg, w, h) => {
          const left = Math.min(30 + 5.6 * longest, 0.45 * w), W = w - left - 2, cw = W / B;
          const paths = names.map(() => []);
          for (let b = 0; b < B; b++) for (let l = 0; l < L; l++) {
            const share = ratio(ratio(panel.counts[b * L + l], totals[b]), ratio(mix.line_cells[l], whole));
            if (share > 0) paths[1 + bounds.filter((x) => share > x).length].push(`M${(left + b * cw).toFixed(1)} ${(l * ch).toFixed(1)}h${(cw + 0.1).toFixed(1)}v${(ch + 0.1).toFixed(1)}h${(-cw - 0.1).toFixed(1)}z`);
          }
          paths.forEach((d, level) => d.length && svg.append(sv("path", { class: `heat h${shades[level]}`, d: d.join("") })));
          svg.append(sv("rect", { x: left, y: 0, width: W, height: cells, fill: "none", stroke: "var(--line)" }));
          svg.append(sv("text", { class: "axis", x: left, y: cells + 15 }, count(mix.batches[0])));
          svg.append(sv("text", { class: "axis", x: left + W, y: cells + 15, "text-anchor": "end" }, count(mix.batches[B - 1])));
          svg.append(sv("text", { class: "axis", x: left + W / 2, y: cells + 15, "text-anchor": "middle" }, "batch"));
          for (let l = 0; l < L; l++) {
            const last = mix.missing_cells > 0 && l === L - 1;  // that line has its name in any case
            if (!last && (l % step || (mix.missing_cells > 0 && l > L - 1 - step))) continue;
            svg.append(sv("text", { class: "axis line-name", x: left - 4, y: l * ch + ch / 2, "text-anchor": "end", "dominant-baseline": "central" }, sv("title", {}, mix.lines[l]), cut(mix.lines[l], 18)));
          }
          svg.append(sv("text", { class: "axis", x: 12, y: cells / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${cells / 2})` }, cut(mix.label, 30)));
          svg.append(sv("text", { x: 0, y: cells + 35 }, sv("tspan", { "font-weight": 600 }, `${panel.mean_entropy.toFixed(2)} bits`), ` of ${mix.entropy.toFixed(2)} per batch on average`));
          svg.onmousemove = (event) => {
            const box = svg.getBoundingClientRect();
            const b = Math.floor((event.clientX - box.left - left) / cw), l = Math.floor((event.clientY - box.top) / ch);
            if (b < 0 || b >= B || l < 0 || l >= L) return;
            readout.textContent = `${name}, batch ${count(mix.batches[b])}: ${mix.lines[l]} is ${percent(ratio(panel.counts[b * L + l], totals[b]))} of it (${percent(ratio(mix.line_cells[l], whole))} of all cells)`;
          };
        });
        node.prepend(el("strong", {}, name));
        return node;
      })),
      el("ul", { class: "legend" }, el("li", {}, "share of the batch, against the share of all cells:"), names.map((name, level) => el("li", {}, el("i", { style: `background:${level ? `var(--h${shades[level]})` : "var(--card)"};border:1px solid var(--line)` }), name))),
      readout,
      mix.row_step > 1 ? el("p", { class: "note" }, `Every ${mix.row_step}th cell of a batch was looked at.`) : "");
  } else section.append(el("p", { class: "note" }, "To see how a label is spread over batches, name a column of obs: --label COLUMN on the command line, loader.report(path, label=\"COLUMN\") in Python."));
}

// --- files ---
{
  const perEpoch = (f) => (f.rows_decoded > 0 ? f.bytes_read * f.selected / f.rows_decoded : 0);
  const longest = most(data.files.map((f) => Math.max(f.planned_bytes, perEpoch(f)))) || 1;
  const rows = data.files.map((f) => [
    el("span", { title: f.path }, f.name), count(f.selected), bytes(f.file_bytes), bytes(f.planned_bytes), f.rows_decoded ? bytes(perEpoch(f)) : "–", bytes(f.bytes_read),
    el("div", { class: "meter" }, el("i", { style: `width:${(100 * perEpoch(f) / longest).toFixed(1)}%` }), el("u", { style: `left:${(100 * f.planned_bytes / longest).toFixed(1)}%` }))]);
  const rest = data.more_files;
  if (rest) rows.push([`${count(rest.files)} more files`, count(rest.selected), "", bytes(rest.planned_bytes), "", bytes(rest.bytes_read), ""]);
  card("files", "Bytes read, by file",
    table(["file", "cells", "size", "plan/epoch", "read/epoch", "read in all", "read (bar) and plan (mark)"], rows, [1, 2, 3, 4, 5]),
    el("p", { class: "note" }, "Read per epoch: bytes per decoded cell times the file's cells. The engine reads on into the next epoch, so that “in all” can exceed what the delivered cells needed."));
}

// --- plan against run ---
{
  const epochs = ratio(stats.rows_decoded, plan.rows_this_rank);
  const per = (n) => (epochs > 0 ? n / epochs : 0);
  const happened = (n, format) => (epochs > 0 ? format(n) : "–");
  const rows = [
    ["bytes read, per epoch", bytes(plan.bytes_to_read), happened(per(stats.bytes_read), bytes)],
    ["reads, per epoch", count(plan.requests), happened(per(stats.reads), count)],
    ["time of an epoch at full speed", plan.seconds_per_epoch > 0 ? time(plan.seconds_per_epoch) : "unknown", stats.rows ? `${time(stats.last_batch_seconds * plan.rows_this_rank / stats.rows)} with this loop` : "–"],
    ["cells read twice for want of room", "0", count(stats.rows_deferred)],
    ...Object.entries(plan.memory_by_tag).map(([tag, n]) => [`memory: ${tag}`, bytes(n), bytes(stats.memory.peak_by_tag[tag])]),
    ["memory in all", bytes(plan.memory), bytes(stats.memory.peak)],
  ];
  card("plan", "The plan and what happened", el("div", { class: "compact" }, table(["", "planned", "happened"], rows, [1, 2])),
    el("p", { class: "note" }, `Epochs decoded so far: ${epochs.toFixed(2)}. The plan counts epoch 0 from a cold start; it is made before anything is read.`));
}

// --- how it ran ---
const named = (id, title, pairs) => card(id, title, table(null, pairs.map(([name, value]) => [name, el("code", {}, value === "" ? "–" : value)])));
named("options", "Options", data.options);
named("environment", "Environment", data.environment);
{
  const skip = new Set(["memory", "who_waited", "where_time_went"]);
  card("raw", "All counters", el("details", {}, el("summary", {}, "stats()"), table(null, Object.entries(stats).filter(([k]) => !skip.has(k)).map(([k, v]) => [el("code", {}, k), `${v}`]))),
    el("p", { class: "note" }, "For machines: everything on this page is in its source as JSON, in the element with the id ", el("code", {}, "penstock-data"), `. Made ${data.made}.`));
}

const draw = (width) => drawn.forEach((d) => d(width));
draw();
let frame = 0;
window.addEventListener("resize", () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(() => draw()); });
})();
