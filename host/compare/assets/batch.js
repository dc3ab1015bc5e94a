"use strict";
(() => {
const table = document.querySelector("#all-variants table"); if (!table) return;
const body = table.tBodies[0], shown = Number(table.dataset.shown);
const value = (row, at) => { const v = row.cells[at].dataset.v; return v === undefined || v === "" ? null : isNaN(v) ? v : Number(v); };
table.tHead.querySelectorAll("th").forEach((th, at) => { const b = th.querySelector("button"); if (!b) return; b.onclick = () => {
  const up = th.getAttribute("aria-sort") === "descending";
  table.tHead.querySelectorAll("th").forEach((x) => x.removeAttribute("aria-sort")); th.setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = [...body.rows].filter((r) => !r.classList.contains("reference"));
  // What has no value comes last either way.
  rows.sort((a, b) => { const x = value(a, at), y = value(b, at); if (x === null || y === null) return (x === null) - (y === null); return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1); });
  rows.forEach((r, i) => { r.classList.toggle("rest", i >= shown); body.append(r); });
}; });
})();
