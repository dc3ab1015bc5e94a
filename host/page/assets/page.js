"use strict";
(() => {
const root = document.documentElement, store = { get: (k) => { try { return localStorage.getItem(k); } catch { return null; } }, set: (k, v) => { try { localStorage.setItem(k, v); } catch { /* a file opened without storage keeps nothing */ } } };
// Whatever is drawn by script asks for the colours again.
const redraw = () => document.dispatchEvent(new Event("look"));
const switcher = (id, key, values, labels) => { const b = document.querySelector(id); if (!b) return; const apply = (v) => { key === "theme" && v === "auto" ? delete root.dataset[key] : (root.dataset[key] = v); b.textContent = labels[values.indexOf(v)]; redraw(); }; let now = store.get("ghtrader." + key); if (!values.includes(now)) now = root.dataset[key] || values[0]; apply(now); b.onclick = () => { now = values[(values.indexOf(now) + 1) % values.length]; store.set("ghtrader." + key, now); apply(now); }; };
switcher("#theme", "theme", ["auto", "light", "dark"], ["Theme: auto", "Theme: light", "Theme: dark"]);
switcher("#colours", "up", ["red", "green"], ["Red = up", "Green = up"]);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
document.querySelectorAll("[data-copy]").forEach((b) => { b.onclick = async () => { const text = b.previousElementSibling; try { await navigator.clipboard.writeText(text.textContent); b.textContent = "Copied"; } catch { getSelection().selectAllChildren(text); b.textContent = "Selected"; } setTimeout(() => { b.textContent = "Copy"; }, 1500); }; });
})();
