"use strict";
(() => {
const D = JSON.parse(document.getElementById("data").textContent);
const MODELS = ["pessimistic", "central", "optimistic", "cross_only", "touch"];
const $ = (s) => document.querySelector(s);
const el = (tag, props, ...kids) => {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) k in e && k !== "style" ? (e[k] = v) : e.setAttribute(k, v);
  e.append(...kids.filter((k) => k != null));
  return e;
};
const num = (digits) => { const f = new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return (v) => f.format(v).replace("-", "−"); };
const whole = num(0), two = num(2), three = num(3), compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const signed = (f) => (v) => (v > 0 ? "+" : "") + f(v);
const short = (v) => Math.abs(v) < 10000 ? whole(v) : compact.format(v).replace("-", "−");
const arrow = (v) => v > 0 ? "▲ " : v < 0 ? "▼ " : "";
const tone = (v) => v > 0 ? "up" : v < 0 ? "down" : "";
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const words = (s) => s.replace(/_/g, " ");
const lowerBound = (a, x) => { let lo = 0, hi = a.length; while (lo < hi) { const m = (lo + hi) >> 1; a[m] <= x ? (lo = m + 1) : (hi = m); } return lo; };

// Exchange time is Shanghai's, UTC+8 all year.
const cst = (ms) => new Date(ms + 288e5).toISOString();
const hm = (ms) => cst(ms).slice(11, 16), hms = (ms) => cst(ms).slice(11, 21), dayTime = (ms) => cst(ms).slice(5, 10) + " " + cst(ms).slice(11, 19);

// Session time: nights, breaks and weekends take no width.
function sessionClock(days) {
  const w = []; let c = 0;
  days.forEach((d, i) => d.windows.forEach(([a, b], k) => { w.push({ a, b, c, day: i, first: k === 0, date: d.trading_day }); c += b - a; }));
  const starts = w.map((x) => x.a), froms = w.map((x) => x.c);
  return { w, length: c,
    at(t) { const i = lowerBound(starts, t) - 1; return i < 0 ? 0 : w[i].c + Math.min(t - w[i].a, w[i].b - w[i].a); },
    back(x) { const i = Math.max(0, lowerBound(froms, x) - 1); return w[i] ? w[i].a + Math.min(x - w[i].c, w[i].b - w[i].a) : 0; },
    ticks(x0, x1, width) {
      const out = [], days = w.filter((v) => v.first && v.c >= x0 - 1 && v.c < x1), room = Math.max(2, width / 76);
      if (days.length > 2) { const every = Math.ceil(days.length / room); days.forEach((v, i) => i % every || out.push([v.c, v.date.slice(5)])); return out; }
      const step = [1, 2, 5, 10, 15, 30, 60, 120, 240].find((m) => (x1 - x0) / (m * 6e4) <= room) || 480;
      for (const v of w) {
        const times = [v.a]; for (let t = Math.floor(v.a / (step * 6e4) + 1) * step * 6e4; t < v.b; t += step * 6e4) times.push(t);
        for (const t of times) { const x = v.c + t - v.a; if (x >= x0 && x <= x1) out.push([x, hm(t)]); }
      }
      return out;
    } };
}

const charts = new Set();
const redrawAll = () => charts.forEach((c) => c.draw());
const view = (lo, hi, least) => ({ lo, hi, x0: lo, x1: hi, least, on: new Set(),
  set(x0, x1) {
    const span = Math.min(this.hi - this.lo, Math.max(this.least, x1 - x0)); x0 = Math.max(this.lo, Math.min(x0, this.hi - span));
    const changed = x0 !== this.x0 || x0 + span !== this.x1; this.x0 = x0; this.x1 = x0 + span; if (changed) this.on.forEach((f) => f()); return changed; },
  zoom(k, at) { const x = at ?? (this.x0 + this.x1) / 2; return this.set(x - (x - this.x0) * k, x + (this.x1 - x) * k); },
  pan(share) { const s = (this.x1 - this.x0) * share; return this.set(this.x0 + s, this.x1 + s); },
  reset() { this.set(this.lo, this.hi); } });

function niceTicks(lo, hi, n, wholeOnly) {
  const raw = Math.max((hi - lo) / n || 1, wholeOnly ? 1 : 0), p = 10 ** Math.floor(Math.log10(raw)), steps = wholeOnly && p < 10 ? [1, 2, 5, 10] : [1, 2, 2.5, 5, 10];
  const step = steps.find((s) => s * p >= raw * (1 - 1e-9)) * p, out = [];
  for (let v = Math.ceil(lo / step - 1e-9) * step; v <= hi + step * 1e-9; v += step) out.push(Math.abs(v) < step / 1e6 ? 0 : v);
  return out;
}

// o: label, height, view, ticks(x0, x1, width), y(x0, x1) -> [lo, hi], fmt, draw(g), tip(x, y, g) -> lines | {lines, x, y} | null, zoom, left
function chart(host, o) {
  const canvas = el("canvas", { tabIndex: 0, role: "img", ariaLabel: o.label }), tip = el("div", { className: "tip" });
  canvas.setAttribute("aria-label", o.label);
  const plot = el("div", { className: "plot" + (o.zoom ? " zoomable" : "") }, canvas, tip), v = o.view;
  host.append(plot);
  let g, cross = null, box = null, queued = false;
  const self = { plot, draw() { if (!queued) { queued = true; requestAnimationFrame(paint); } } };
  function paint() {
    queued = false;
    const width = plot.clientWidth, h = o.height, dpr = window.devicePixelRatio || 1;
    if (!width) return;
    canvas.width = Math.round(width * dpr); canvas.height = Math.round(h * dpr); canvas.style.height = h + "px";
    const c = canvas.getContext("2d"); c.scale(dpr, dpr); c.font = "12px " + css("--sans");
    let [y0, y1] = o.y(v.x0, v.x1); if (!(y1 > y0)) { y0 -= 1; y1 += 1; }
    const ys = niceTicks(y0, y1, Math.max(4, h / 46), o.fmt === whole || o.fmt === short), L = Math.ceil(Math.max(...ys.map((t) => c.measureText(o.fmt(t)).width), o.left || 0)) + 10;
    const T = 8, R = width - 6, B = h - (o.ticks ? 22 : 6);
    g = { c, L, T, R, B, width: R - L, y0, y1, X: (x) => L + (x - v.x0) / (v.x1 - v.x0) * (R - L), Y: (y) => B - (y - y0) / (y1 - y0) * (B - T), x0: v.x0, x1: v.x1,
      inv: (px) => v.x0 + (px - L) / (R - L) * (v.x1 - v.x0) };
    c.lineWidth = 1; c.fillStyle = css("--soft"); c.textBaseline = "middle"; c.textAlign = "right";
    for (const t of ys) { const y = Math.round(g.Y(t)) + .5; c.strokeStyle = css(t === 0 && o.zero ? "--soft" : "--grid"); c.beginPath(); c.moveTo(L, y); c.lineTo(R, y); c.stroke(); c.fillText(o.fmt(t), L - 6, y); }
    if (o.ticks) { c.textAlign = "center"; c.textBaseline = "top"; let edge = -1e9;
      for (const [x, text] of o.ticks(v.x0, v.x1, R - L)) { const w = c.measureText(text).width / 2, at = Math.max(L + w - 4, Math.min(R - w, g.X(x))); if (at - w < edge + 6) continue; edge = at + w; c.fillText(text, at, B + 6); } }
    c.save(); c.beginPath(); c.rect(L, T - 4, R - L, B - T + 8); c.clip(); o.draw(g);
    if (box) { c.fillStyle = css("--band"); c.fillRect(Math.min(...box), T, Math.abs(box[1] - box[0]), B - T); }
    if (cross != null) { c.strokeStyle = css("--soft"); c.setLineDash([3, 3]); c.beginPath(); c.moveTo(Math.round(cross) + .5, T); c.lineTo(Math.round(cross) + .5, B); c.stroke(); c.setLineDash([]); }
    c.restore();
  }
  function hover(px, py) {
    if (!g) return;
    const said = px >= g.L && px <= g.R && o.tip ? o.tip(g.inv(px), py, g, px) : null, lines = said && (said.lines || said);
    cross = lines ? (said.x ?? px) : null; tip.classList.toggle("on", !!lines);
    if (lines) {
      tip.replaceChildren(...lines.map((t, i) => el("div", { style: i ? "" : "font-weight:650" }, t)));
      const left = cross + 14 + tip.offsetWidth > plot.clientWidth ? cross - tip.offsetWidth - 14 : cross + 14;
      tip.style.left = Math.max(0, left) + "px"; tip.style.top = Math.max(0, Math.min(py - 10, o.height - tip.offsetHeight - 4)) + "px";
    }
    self.draw();
  }
  const at = (e) => { const r = canvas.getBoundingClientRect(); return [e.clientX - r.left, e.clientY - r.top]; };
  const fingers = new Map(); let drag = null;
  canvas.addEventListener("pointermove", (e) => {
    const [px, py] = at(e);
    if (fingers.has(e.pointerId)) {
      const before = [...fingers.values()]; fingers.set(e.pointerId, px); const now = [...fingers.values()];
      if (o.zoom && now.length === 2) { const d0 = Math.abs(before[0] - before[1]), d1 = Math.abs(now[0] - now[1]); if (d1 > 4) v.zoom(d0 / d1, g.inv((now[0] + now[1]) / 2)); return; }
      if (o.zoom && drag && Math.abs(px - drag.px) > 4) {
        if (drag.pan) v.set(drag.x0 - (px - drag.px) / g.width * (drag.x1 - drag.x0), drag.x1 - (px - drag.px) / g.width * (drag.x1 - drag.x0));
        else { box = [drag.px, px]; self.draw(); }
        if (e.pointerType !== "touch") return;
      }
    }
    hover(px, py);
  });
  canvas.addEventListener("pointerdown", (e) => { const [px, py] = at(e); fingers.set(e.pointerId, px); if (o.zoom) { canvas.setPointerCapture(e.pointerId); drag = { px, x0: v.x0, x1: v.x1, pan: v.x1 - v.x0 < (v.hi - v.lo) * .999 || e.pointerType === "touch" }; } hover(px, py); });
  const up = (e) => { fingers.delete(e.pointerId); if (box && Math.abs(box[1] - box[0]) > 6) v.set(g.inv(Math.min(...box)), g.inv(Math.max(...box))); box = null; drag = null; self.draw(); };
  canvas.addEventListener("pointerup", up); canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => { cross = null; tip.classList.remove("on"); self.draw(); });
  let cursor = null;
  canvas.addEventListener("blur", () => { cursor = null; cross = null; tip.classList.remove("on"); self.draw(); });
  if (o.zoom) {
    canvas.addEventListener("wheel", (e) => { // Without a click or Ctrl the wheel scrolls the page, as everywhere.
      if (!e.deltaY || !g || !(e.ctrlKey || e.metaKey || document.activeElement === canvas)) return; if (v.zoom(e.deltaY > 0 ? 1.25 : .8, g.inv(at(e)[0]))) e.preventDefault(); }, { passive: false });
    canvas.addEventListener("dblclick", () => v.reset());
    const button = (text, name, act) => el("button", { type: "button", title: name, ariaLabel: name, onclick: act }, text);
    plot.before(el("div", { className: "bar" }, button("+", "Zoom in", () => v.zoom(.5)), button("−", "Zoom out", () => v.zoom(2)), button("◀", "Earlier", () => v.pan(-.5)), button("▶", "Later", () => v.pan(.5)), button("All", "Show everything", () => v.reset()),
      el("span", { className: "small soft" }, "Drag to zoom, then drag to move. Wheel after a click, or Ctrl + wheel. Keys: + − ← → 0; comma and full stop move the pointer.")));
  }
  canvas.addEventListener("keydown", (e) => {
    const act = o.zoom && { "+": () => v.zoom(.6), "=": () => v.zoom(.6), "-": () => v.zoom(1.6), ArrowLeft: () => v.pan(-.2), ArrowRight: () => v.pan(.2), 0: () => v.reset(), Home: () => v.reset() }[e.key];
    const move = { ",": -1, ".": 1, ...(o.zoom ? {} : { ArrowLeft: -1, ArrowRight: 1 }) }[e.key];
    if (act) { act(); e.preventDefault(); }
    if (move && g) { cursor = Math.max(g.L + 1, Math.min(g.R - 1, (cursor ?? (g.L + g.R) / 2) + move * g.width / 40)); hover(cursor, o.height / 3); e.preventDefault(); }
  });
  v.on.add(self.draw); charts.add(self); new ResizeObserver(self.draw).observe(plot); self.draw();
  return self;
}
const line = (g, n, x, y, colour, width, dash) => { const c = g.c; c.strokeStyle = colour; c.lineWidth = width || 1.5; c.setLineDash(dash || []); c.lineJoin = "round"; c.beginPath(); let pen = false;
  for (let i = 0; i < n; i++) { const v = y(i); if (v == null) { pen = false; continue; } pen ? c.lineTo(x(i), g.Y(v)) : c.moveTo(x(i), g.Y(v)); pen = true; } c.stroke(); c.setLineDash([]); };
const table = (head, rows, className) => el("div", { className: "scroll" }, el("table", { className: className || "" },
  el("thead", {}, el("tr", {}, ...head.map((h) => el("th", { scope: "col" }, h)))),
  el("tbody", {}, ...rows.map((r) => r.group ? el("tr", { className: "group" }, el("th", { colSpan: head.length }, r.group)) : el("tr", {}, ...r.map((cell, i) => cell instanceof Node ? cell : el(i ? "td" : "th", {}, cell)))))));
const fold = (title, ...kids) => el("details", {}, el("summary", {}, title), ...kids);
const legend = (...items) => el("div", { className: "legend" }, ...items.map(([text, colour, kind, glyph]) => el("span", { className: kind || "", style: "--c:" + colour, "data-glyph": glyph || "" }, text)));
const clear = (host) => { for (const c of charts) if (host.contains(c.plot)) charts.delete(c); host.replaceChildren(); };
const tabs = (names, label, pick) => { const buttons = names.map((n, i) => el("button", { type: "button", onclick: () => choose(i) }, n));
  const choose = (i) => { buttons.forEach((b, k) => b.setAttribute("aria-pressed", k === i)); pick(i); };
  return [el("div", { className: "bar", role: "group", ariaLabel: label }, ...buttons), choose]; };
const select = (label, options, pick) => { const s = el("select", { onchange: () => pick(s.selectedIndex) }, ...options.map((o) => el("option", {}, o))); return el("label", {}, label, s); };

// Strategies: curves as profit since the start, falls from the peak beside them.
const clock = sessionClock(D.sessions);
const strategies = D.strategies.map((s) => {
  const models = s.report.fill_models || {}, names = MODELS.filter((m) => models[m]).concat(Object.keys(models).filter((m) => !MODELS.includes(m)));
  const curves = {};
  for (const m of names) { const e = s.equity[m]; if (!e || !e.cny.length) continue;
    const x = e.ts_ms.map(clock.at), start = s.initial_cny, pnl = e.cny.map((v) => v - start); let peak = 0; const fall = pnl.map((v) => { peak = Math.max(peak, v); return v - peak; });
    curves[m] = { x, pnl, fall }; }
  return { ...s, models, names, curves };
});
const stepAt = (s, x, key) => { const i = lowerBound(s.x, x) - 1; return i < 0 ? 0 : s[key][i]; };
const three_names = (s) => ["pessimistic", "central", "optimistic"].filter((m) => s.curves[m]);
const bounds = (list) => { let lo = Infinity, hi = -Infinity; for (const v of list) { if (v == null || Number.isNaN(v)) continue; if (v < lo) lo = v; if (v > hi) hi = v; } return lo > hi ? [0, 1] : [lo, hi]; };
const pad = ([lo, hi], share) => [lo - (hi - lo) * share, hi + (hi - lo) * share];

function curveChart(host, s, key, height, label, v) {
  const names = three_names(s), low = s.curves.pessimistic, high = s.curves.optimistic, mid = s.curves.central || low || high;
  if (!mid) return host.append(el("p", { className: "soft" }, "No curve was recorded."));
  chart(host, { label, height, view: v, zoom: key === "pnl", zero: true, fmt: short, ticks: clock.ticks, left: 44,
    y: (x0, x1) => { const all = [0]; for (const m of names) { const k = s.curves[m]; all.push(stepAt(k, x0, key), stepAt(k, x1, key)); for (let i = lowerBound(k.x, x0); i < k.x.length && k.x[i] <= x1; i++) all.push(k[key][i]); } return pad(bounds(all), .06); },
    draw(g) {
      const n = Math.ceil(g.width) * 2, px = (i) => g.L + i / 2, value = (k) => (i) => stepAt(k, g.inv(px(i)), key), c = g.c;
      if (low && high) { c.fillStyle = css("--band"); c.beginPath(); for (let i = 0; i <= n; i++) c.lineTo(px(i), g.Y(value(high)(i))); for (let i = n; i >= 0; i--) c.lineTo(px(i), g.Y(value(low)(i))); c.fill();
        line(g, n, px, value(high), css("--accent2"), 1, [4, 3]); line(g, n, px, value(low), css("--accent"), 1.25); }
      line(g, n, px, value(mid), css("--ink"), 2);
    },
    tip: (x) => [dayTime(clock.back(x)), ...names.slice().reverse().map((m) => `${words(m)}  ${signed(whole)(stepAt(s.curves[m], x, key))} CNY`)] });
}

function dailyChart(host, s) {
  const names = three_names(s), days = D.sessions.map((d) => d.trading_day), of = (m) => s.models[m].pnl_daily_cny || [];
  const main = s.models.pessimistic ? "pessimistic" : s.names[0]; if (!main) return;
  const list = names.length ? names : [main], n = days.length, v = view(-.5, n - .5, 1);
  chart(host, { label: `Profit and loss by trading day of ${s.name}, table below`, height: 190, view: v, zero: true, fmt: short,
    ticks: (a, b, w) => { const every = Math.ceil(n / Math.max(2, w / 60)); return days.map((d, i) => [i, d.slice(5)]).filter((t) => t[0] % every === 0); },
    y: () => pad(bounds([0, ...list.flatMap(of)]), .08),
    draw(g) { const c = g.c, w = Math.max(2, Math.min(34, g.width / n * .62));
      for (let i = 0; i < n; i++) { const x = g.X(i), p = of(main)[i]; if (p == null) continue; c.fillStyle = css(p >= 0 ? "--up" : "--down"); c.globalAlpha = .85; c.fillRect(x - w / 2, Math.min(g.Y(0), g.Y(p)), w, Math.max(1, Math.abs(g.Y(p) - g.Y(0)))); c.globalAlpha = 1;
        const [lo, hi] = bounds(list.map((m) => of(m)[i])); c.strokeStyle = css("--ink"); c.lineWidth = 1.25; c.beginPath(); c.moveTo(x, g.Y(lo)); c.lineTo(x, g.Y(hi)); c.moveTo(x - 3, g.Y(lo)); c.lineTo(x + 3, g.Y(lo)); c.moveTo(x - 3, g.Y(hi)); c.lineTo(x + 3, g.Y(hi)); c.stroke(); } },
    tip: (x, y, g) => { const i = Math.round(x); return days[i] && { x: g.X(i), lines: [days[i] + (D.sessions[i].contract ? "  " + D.sessions[i].contract : ""), ...list.slice().reverse().map((m) => `${words(m)}  ${signed(whole)(of(m)[i] ?? 0)} CNY`)] }; } });
  host.append(fold("Daily profit and loss as a table", table(["Trading day", "Contract", ...s.names.map(words)], days.map((d, i) => [d, D.sessions[i].contract || "", ...s.names.map((m) => money(of(m)[i]))]))));
}
const money = (v) => v == null ? "–" : el("td", { className: tone(v) }, arrow(v) + signed(whole)(v));

function showEquity(i) {
  const s = strategies[i], host = $("#equity-body"), v = view(0, clock.length, 6e4); clear(host);
  if (s.description) host.append(el("p", { className: "soft" }, s.description));
  host.append(el("h3", {}, "Profit and loss since the start, CNY"), legend(["pessimistic to optimistic", "var(--band)", "area"], ["central, the best guess", "var(--ink)"], ["pessimistic", "var(--accent)"], ["optimistic", "var(--accent2)"]));
  curveChart(host, s, "pnl", 300, `Equity of ${s.name}: band from the pessimistic to the optimistic fill model, central as a line`, v);
  host.append(el("h3", {}, "Drawdown: fall from the highest point so far, CNY"));
  curveChart(host, s, "fall", 150, `Drawdown of ${s.name}`, v);
  host.append(el("h3", {}, "By trading day, CNY"), el("p", { className: "small soft" }, "Bars: pessimistic. Whiskers: from the lowest to the highest of the three models."));
  dailyChart(host, s);
}

// One day's prices with what was filled on it.
const day = { price: 0, strategy: 0, model: 0 };
const unpack = (p) => { if (!p.t) { let t = p.t0_ms; p.t = p.dt_ms.map((d) => (t += d)); p.clock = sessionClock([p]); p.x = p.t.map(p.clock.at); } return p; };
function showPrice() {
  const host = $("#price-body"), p = unpack(D.price_days[day.price]), s = strategies[day.strategy]; clear(host);
  const model = s.names[day.model], marks = p.fills.find((f) => f.strategy === s.name && f.model === model) || { ts_ms: [], buy: [], lots: [], price_cny: [], maker: [], position_lots: [] };
  const n = marks.ts_ms.length, mx = marks.ts_ms.map(p.clock.at), tick = p.price_tick, digits = (String(tick).split(".")[1] || "").length, price = num(digits), v = view(0, p.clock.length, 2e4);
  const bid = p.bid_ticks, ask = p.ask_ticks, half = new Map(); mx.forEach((x, i) => half.set(x, i));
  host.append(legend(["best bid to best ask", "var(--accent)", "area"], ["buy, maker", "var(--up)", "glyph", "△"], ["buy, taker", "var(--up)", "glyph", "▲"], ["sell, maker", "var(--down)", "glyph", "▽"], ["sell, taker", "var(--down)", "glyph", "▼"]));
  chart(host, { label: `Best quotes of ${p.contract} on ${p.trading_day} with ${n} fills of ${s.name} under ${words(model)}`, height: 360, view: v, zoom: true, fmt: price, ticks: p.clock.ticks, left: 56,
    y: (x0, x1) => { const a = Math.max(0, lowerBound(p.x, x0) - 1), b = Math.min(p.x.length, lowerBound(p.x, x1) + 1), all = [];
      for (let i = a; i < b; i++) { if (bid[i] != null) all.push(bid[i] * tick); if (ask[i] != null) all.push(ask[i] * tick); }
      const [lo, hi] = bounds(all); return pad([lo - 2 * tick, hi + 2 * tick], .04); },
    draw(g) {
      const c = g.c, a = Math.max(0, lowerBound(p.x, g.x0) - 1), b = Math.min(p.x.length, lowerBound(p.x, g.x1) + 1);
      c.strokeStyle = css("--line"); c.lineWidth = 1; for (const w of p.clock.w) if (w.c > g.x0 && w.c < g.x1) { c.setLineDash([2, 4]); c.beginPath(); c.moveTo(g.X(w.c), g.T); c.lineTo(g.X(w.c), g.B); c.stroke(); c.setLineDash([]); }
      if (b - a > 1.5 * g.width) { // More rows than pixels: the lowest bid to the highest ask of each column.
        c.fillStyle = css("--accent"); c.globalAlpha = .75; let i = a;
        for (let px = g.L; px < g.R; px++) { const end = g.inv(px + 1); let lo = Infinity, hi = -Infinity; if (i > a) i--; for (; i < b && p.x[i] < end; i++) { if (bid[i] != null && bid[i] < lo) lo = bid[i]; if (ask[i] != null && ask[i] > hi) hi = ask[i]; } if (lo < hi) c.fillRect(px, g.Y(hi * tick), 1, Math.max(1.2, g.Y(lo * tick) - g.Y(hi * tick))); }
        c.globalAlpha = 1;
      } else { c.fillStyle = css("--band"); for (const [side, colour] of [[bid, "--accent"], [ask, "--accent2"]]) { c.strokeStyle = css(colour); c.lineWidth = 1.5; c.beginPath(); let last = null;
          for (let i = a; i < b; i++) { if (side[i] == null) { last = null; continue; } const x = g.X(p.x[i]), y = g.Y(side[i] * tick); if (last == null) c.moveTo(x, y); else { c.lineTo(x, last); c.lineTo(x, y); } last = y; } c.stroke(); } }
      const from = lowerBound(mx, g.x0 - 1) , to = lowerBound(mx, g.x1), r = to - from > 1500 ? 2.5 : to - from > 300 ? 3.5 : 5.5; c.lineWidth = r > 3 ? 1.6 : 1; c.globalAlpha = to - from > 1500 ? .6 : .95;
      for (let i = from; i < to; i++) { const x = g.X(mx[i]), y = g.Y(marks.price_cny[i]), up = marks.buy[i] ? 1 : -1; c.beginPath(); c.moveTo(x, y); c.lineTo(x - r, y + up * r * 1.7); c.lineTo(x + r, y + up * r * 1.7); c.closePath();
        const colour = css(marks.buy[i] ? "--up" : "--down"); if (marks.maker[i]) { c.fillStyle = css("--card"); c.fill(); c.strokeStyle = colour; c.stroke(); } else { c.fillStyle = colour; c.fill(); } }
      c.globalAlpha = 1;
    },
    tip(x, py, g, px) {
      let best = -1, d = 14; for (let i = lowerBound(mx, g.inv(px - 14)), e = lowerBound(mx, g.inv(px + 14)); i < e; i++) { const k = Math.hypot(g.X(mx[i]) - px, g.Y(marks.price_cny[i]) + (marks.buy[i] ? 6 : -6) - py); if (k < d) { d = k; best = i; } }
      if (best >= 0) return { x: g.X(mx[best]), lines: [`${marks.buy[best] ? "▲ buy" : "▼ sell"} ${marks.lots[best]} @ ${price(marks.price_cny[best])}`, `${marks.maker[best] ? "maker" : "taker"}, then ${signed(whole)(marks.position_lots[best])} lots`, hms(marks.ts_ms[best])] };
      const i = lowerBound(p.x, x) - 1; return i < 0 || bid[i] == null || ask[i] == null ? null : [hms(p.t[i]), `ask ${price(ask[i] * tick)}`, `bid ${price(bid[i] * tick)}`];
    } });
  host.append(el("h3", {}, "Position, lots"));
  chart(host, { label: `Position of ${s.name} under ${words(model)} on ${p.trading_day}`, height: 110, view: v, zero: true, fmt: whole, ticks: p.clock.ticks, left: 56,
    y: () => pad(bounds([0, ...marks.position_lots]), .12),
    draw(g) { const c = g.c; c.strokeStyle = css("--ink"); c.fillStyle = css("--band"); c.lineWidth = 1.25; c.beginPath(); let y = g.Y(n ? marks.position_before_lots ?? 0 : 0); c.moveTo(g.X(0), g.Y(0)); c.lineTo(g.X(0), y); for (let i = 0; i < n; i++) { const x = g.X(mx[i]); c.lineTo(x, y); y = g.Y(marks.position_lots[i]); c.lineTo(x, y); } c.lineTo(g.X(p.clock.length), y); c.stroke(); c.lineTo(g.X(p.clock.length), g.Y(0)); c.fill(); },
    tip: (x) => { const i = lowerBound(mx, x) - 1; return [hms(p.clock.back(x)), `${signed(whole)(i < 0 ? marks.position_before_lots ?? 0 : marks.position_lots[i])} lots`]; } });
  const most = 400; host.append(fold(`${whole(n)} fills as a table${n > most ? `, the first ${most}` : ""}`, table(["Time", "Side", "Lots", "Price", "Kind", "Position after"], Array.from({ length: Math.min(n, most) }, (_, i) => [hms(marks.ts_ms[i]), marks.buy[i] ? "▲ buy" : "▼ sell", whole(marks.lots[i]), price(marks.price_cny[i]), marks.maker[i] ? "maker" : "taker", signed(whole)(marks.position_lots[i])]))));
}

// The model: direction forecasts outside the training rows.
function showTraining() {
  const t = D.training, host = $("#model-body"), w = t.walk_forward, pooled = w.pooled || {}, folds = w.folds || [], left = el("div"), right = el("div");
  const shown = (i, f) => i == null || i.value == null ? "–" : (f || three)(i.value) + (i.low == null ? "" : ` [${(f || three)(i.low)}, ${(f || three)(i.high)}]`);
  const cell = (i, f) => i == null || i.value == null ? "–" : el("td", {}, (f || three)(i.value), i.low == null ? null : el("small", {}, `${(f || three)(i.low)} – ${(f || three)(i.high)}`));
  const measures = [["auc_up_down", "AUC, up against down"], ["auc_up", "AUC, up against the rest"]], fine = num(4);
  if (t.summary) host.append(el("p", { className: "soft" }, t.summary));
  const split = el("div", { className: "split" }, left, right); host.append(split);
  const best = t.bound || {}, drawn = (key) => folds.map((f) => f.test && f.test[key]).concat([pooled[key]]);
  left.append(el("h3", {}, "Does the score know the direction? AUC by fold"), el("p", { className: "small soft" }, "Dots with 95 % intervals, out of sample; ½ is a coin" + (best.auc_up_down != null ? ", the dashed line is the best that any predictor can reach in this synthetic market." : ".")),
    legend(["up against down", "var(--accent)", "dot"], ["up against the rest", "var(--accent2)", "dot"]));
  chart(left, { label: "AUC by fold with intervals, table below", height: 270, view: view(-.6, folds.length + .6, 1), fmt: three,
    ticks: () => [...folds.map((f, i) => [i, "fold " + (i + 1)]), [folds.length, "all"]],
    y: () => pad(bounds([.5, best.auc_up, best.auc_up_down, ...measures.flatMap(([k]) => drawn(k).flatMap((i) => i ? [i.value, i.low, i.high] : []))]), .1),
    draw(g) { const c = g.c; line(g, 2, (i) => i ? g.R : g.L, () => .5, css("--soft"), 1.5);
      measures.forEach(([key], m) => { const colour = css(m ? "--accent2" : "--accent"); if (best[key] != null) line(g, 2, (i) => i ? g.R : g.L, () => best[key], colour, 1.25, [6, 4]);
        drawn(key).forEach((v, i) => { if (!v || v.value == null) return; const x = g.X(i + (m ? .14 : -.14)); c.strokeStyle = c.fillStyle = colour; c.lineWidth = 2; if (v.low != null) { c.beginPath(); c.moveTo(x, g.Y(v.low)); c.lineTo(x, g.Y(v.high)); c.stroke(); } c.beginPath(); c.arc(x, g.Y(v.value), i === folds.length ? 5.5 : 4, 0, 7); c.fill(); }); }); },
    tip: (x, y, g) => { const i = Math.round(x), name = i === folds.length ? "all test rows" : `fold ${i + 1}`; return i < 0 || i > folds.length ? null : { x: g.X(i), lines: [name, ...measures.map(([k, label]) => `${label} ${shown(drawn(k)[i])}`)] }; } });
  const bins = (pooled.reliability || []).filter((b) => b.rows > 0).map((b) => ({ p: b.confidence_sum / b.rows, o: b.correct_rows / b.rows, n: b.rows })), most = Math.max(1, ...bins.map((b) => b.n));
  right.append(el("h3", {}, "Does it mean what it says? Calibration"), el("p", { className: "small soft" }, "Given probability of the likeliest class against how often it was right; on the diagonal the score can be taken at its word. Larger dots hold more rows."), legend(["out of sample, all folds", "var(--accent)", "dot"], ["perfect", "var(--soft)"]));
  const span = pad(bounds(bins.flatMap((b) => [b.p, b.o])), .12);
  chart(right, { label: "Calibration curve, table below", height: 270, view: view(span[0], span[1], .01), fmt: two, ticks: (a, b, w) => niceTicks(a, b, Math.max(2, w / 70)).map((v) => [v, two(v)]), y: () => span,
    draw(g) { const c = g.c; line(g, 2, (i) => g.X(span[i]), (i) => span[i], css("--soft"), 1.25, [5, 4]); line(g, bins.length, (i) => g.X(bins[i].p), (i) => bins[i].o, css("--accent"), 1.5); c.fillStyle = css("--accent"); for (const b of bins) { c.beginPath(); c.arc(g.X(b.p), g.Y(b.o), 3 + 6 * Math.sqrt(b.n / most), 0, 7); c.globalAlpha = .85; c.fill(); c.globalAlpha = 1; } },
    tip: (x, y, g, px) => { const b = bins.map((k) => [Math.abs(g.X(k.p) - px), k]).sort((a, c) => a[0] - c[0])[0]; return b && b[0] < 40 ? { x: g.X(b[1].p), lines: [`said ${three(b[1].p)}`, `was ${three(b[1].o)}`, `${whole(b[1].n)} rows`] } : null; } });
  const columns = [["auc_up_down", three], ["auc_up", three], ["log_loss", fine], ["log_loss_gain", fine], ["brier", fine], ["ece", fine], ["accuracy", three]];
  host.append(table(["Test part", "Days", "Rows", "AUC up/down", "AUC up/rest", "Log loss", "Gain over shares", "Brier", "Calib. error", "Accuracy"],
    [...folds.map((f, i) => ["fold " + (i + 1), f.test || {}]), ["all", pooled]].map(([name, e]) => [name, e.first_day ? `${e.first_day.slice(5)} – ${e.last_day.slice(5)}` : "–", e.rows == null ? "–" : whole(e.rows), ...columns.map(([k, f]) => cell(e[k], f))])),
    el("p", { className: "small soft" }, "Small: 95 % intervals over trading days or blocks, so that overlapping labels do not narrow them."));
  host.append(fold("Calibration as a table", table(["Probability given", "How often right", "Rows"], bins.map((b) => [three(b.p), three(b.o), whole(b.n)]))));
}

// Figures by fill model, each with what it means.
const cny = signed(whole), percent = (v) => two(v * 100) + " %", METRICS = [["Result"],
  ["pnl_cny", "Profit and loss, CNY", cny, "Equity at the end less that at the start: realised + unrealised − fees."], ["gross_pnl_cny", "Before fees, CNY", cny, "Profit and loss plus all fees."], ["fees_cny", "Fees, CNY", whole, "Exchange fees with the broker's factor; open, close and close-today apart."],
  ["breakeven_cost_cny_per_lot", "Break-even cost, CNY a lot", signed(two), "Gross profit per lot: dearer than this and it loses."], ["Risk"],
  ["sharpe", "Sharpe ratio", signed(two), "Mean of daily profit by its standard deviation, annualised by √days. Never from ticks."], ["sharpe_se", "Its standard error (daily)", three, "Lo 2002, with skewness and kurtosis."], ["psr", "P(Sharpe > 0)", percent, "Probabilistic Sharpe ratio (Bailey, López de Prado 2012)."], ["sortino", "Sortino ratio", signed(two), "As Sharpe, only falls count as risk."], ["calmar", "Calmar ratio", signed(two), "Annualised profit by the largest drawdown."],
  ["max_drawdown_cny", "Largest drawdown, CNY", whole, "Deepest fall from a peak, over every processed row."], ["max_drawdown_pct", "Largest drawdown", percent, "The same as a share of the peak."], ["drawdown_days", "Longest recovery, days", whole, "From a peak to its recovery, or to the end."], ["var95_cny", "VaR 95 % of a day, CNY", cny, "5 % quantile of daily profit; from 20 days on."], ["cvar95_cny", "CVaR 95 %, CNY", cny, "Mean of the days below it."], ["Trading"],
  ["orders", "Orders", whole, "Accepted by the exchange."], ["fills", "Fills", whole, "An order filled in two parts is two fills."], ["cancels", "Cancels", whole, "Cancels done."], ["lots", "Lots", whole, "Lots filled."], ["round_trips", "Round trips", whole, "First-in first-out pairs by contract and side."], ["hit_rate", "Hit rate", percent, "Round trips that won, net of fees."], ["profit_factor", "Profit factor", two, "Sum of wins by sum of losses."], ["payoff", "Payoff", two, "Mean win by mean loss."],
  ["avg_hold_s", "Mean holding time, s", whole, "Weighted by lots, session seconds only."], ["exposure", "Exposure", percent, "Share of session time with a position."], ["max_abs_position", "Largest position, lots", whole, ""], ["turnover_cny", "Turnover, CNY", short, "Σ price × lots × multiplier."], ["Execution"],
  ["maker_share", "Maker share", percent, "Lots filled while resting in the book."], ["fill_ratio", "Fill ratio", percent, "Lots filled by lots ordered."], ["cancel_ratio", "Cancel ratio", two, "Cancels by orders."], ["max_messages_per_s", "Busiest second, messages", whole, "Orders and cancels in any one second."], ["slippage_ticks", "Slippage, ticks", signed(two), "Fill price against the mid at the decision; above 0 is worse."]];
function showFigures(i) {
  const s = strategies[i], host = $("#figures-body"); clear(host);
  const rows = METRICS.filter(([key, label]) => !label || s.names.some((m) => key in s.models[m])).map(([key, label, f, why]) => label ? [el("th", { scope: "row" }, label, why ? el("small", {}, why) : null), ...s.names.map((m) => { const v = s.models[m][key]; return /pnl/.test(key) ? money(v) : v == null ? "–" : f(v); })] : { group: key });
  host.append(table(["", ...s.names.map(words)], rows));
  const notes = [...new Set(s.names.flatMap((m) => s.models[m].notes || []))]; if (notes.length) host.append(el("p", { className: "small soft" }, "– is a figure that cannot be computed. " + notes.join(". ") + "."));
  const split = el("div", { className: "split" }), left = el("div"), right = el("div"); split.append(left, right); host.append(split);
  const horizons = Object.keys(s.models[s.names[0]]?.markout_ticks || {}).sort((a, b) => a - b), three = s.names.filter((m) => MODELS.indexOf(m) < 3), colours = { pessimistic: "--accent", central: "--ink", optimistic: "--accent2" };
  const mark = (m, h, kind) => s.models[m].markout_ticks?.[h]?.[kind];
  left.append(el("h3", {}, "Markouts, ticks"), el("p", { className: "small soft" }, "Mean move of the mid price after a fill, in the fill's favour above 0. Solid: maker, dashed: taker."), legend(...three.map((m) => [m, `var(${colours[m]})`])));
  if (horizons.length) chart(left, { label: "Markouts by rows after the fill, table below", height: 230, view: view(-.3, horizons.length - .7, 1), zero: true, fmt: two, ticks: () => horizons.map((h, k) => [k, h + (h === "1" ? " row" : " rows")]),
    y: () => pad(bounds([0, ...three.flatMap((m) => horizons.flatMap((h) => [mark(m, h, "maker"), mark(m, h, "taker")]))]), .1),
    draw: (g) => three.forEach((m) => ["maker", "taker"].forEach((k, d) => { const c = g.c; line(g, horizons.length, g.X, (q) => mark(m, horizons[q], k), css(colours[m]), 1.75, d ? [5, 4] : []); c.fillStyle = css(colours[m]); horizons.forEach((h, q) => { const v = mark(m, h, k); if (v != null) { c.beginPath(); c.arc(g.X(q), g.Y(v), 3, 0, 7); c.fill(); } }); })),
    tip: (x, y, g) => { const q = Math.round(x); return horizons[q] && { x: g.X(q), lines: [`${horizons[q]} rows after the fill`, ...three.flatMap((m) => ["maker", "taker"].filter((k) => mark(m, horizons[q], k) != null).map((k) => `${words(m)} ${k} ${signed(two)(mark(m, horizons[q], k))}`))] }; } });
  left.append(fold("Markouts as a table", table(["Model", "Kind", ...horizons.map((h) => h + " rows")], s.names.flatMap((m) => ["maker", "taker"].map((k) => [words(m), k, ...horizons.map((h) => { const v = mark(m, h, k); return v == null ? "–" : signed(two)(v); })])))));
  const hours = [...new Set(s.names.flatMap((m) => Object.keys(s.models[m].by_hour || {})))].sort((a, b) => (+a < 18) - (+b < 18) || a - b), value = (m, h) => s.models[m].by_hour?.[h]?.closed_pnl_cny, top = Math.max(1, ...three.flatMap((m) => hours.map((h) => Math.abs(value(m, h) || 0))));
  right.append(el("h3", {}, "By hour of the exchange's day, CNY"), el("p", { className: "small soft" }, "Net profit of round trips closed in the hour; deeper colour, larger sum. The night comes first."));
  if (hours.length) right.append(table(["Hour", ...three.map(words)], hours.map((h) => [String(h).padStart(2, "0") + ":00", ...three.map((m) => { const v = value(m, h); const cell = el("td", {}, v == null ? "–" : signed(whole)(v)); if (v) cell.style.background = `color-mix(in srgb, var(${v > 0 ? "--up" : "--down"}) ${Math.round(8 + 34 * Math.abs(v) / top)}%, transparent)`; return cell; })]), "heat"));
}

// Put together; every part shows that it is empty instead of vanishing.
const names = strategies.map((s) => s.name);
if (names.length) { for (const [id, show] of [["equity", showEquity], ["figures", showFigures]]) { const [bar, choose] = tabs(names, "Strategy", show); $(`#${id}-body`).before(bar); choose(0); } }
if (D.price_days.length && names.length) {
  const bar = el("div", { className: "bar" }, select("Day", D.price_days.map((p) => `${p.trading_day}  ${p.contract}`), (i) => { day.price = i; showPrice(); }), select("Strategy", names, (i) => { day.strategy = i; showPrice(); }), select("Fill model", strategies[0].names.map(words), (i) => { day.model = i; showPrice(); }));
  $("#price-body").before(bar); showPrice();
} else $("#price-body").append(el("p", { className: "soft" }, "No day was chosen for the price chart."));
if (D.training) showTraining();
document.addEventListener("look", redrawAll);
})();
