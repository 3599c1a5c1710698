// What every page does in the browser: times in the viewer's zone, keys, live fragments. Pages read well without it.
"use strict";
(() => {
  // Trusted Types: markup comes from this server alone, and none of it brings anything that runs.
  const RUNS = /<(script|iframe|object|embed|base|meta|link|style)\b/i;
  if (window.trustedTypes) {
    trustedTypes.createPolicy("default", {
      createHTML: (html) => {
        if (RUNS.test(html)) throw new TypeError("This markup may not become part of the page.");
        return html;
      },
    });
  }

  // --- times -------------------------------------------------------------------------------------------------------
  const UNITS = [["day", 86400, 2], ["hour", 3600, 2], ["minute", 60, 2], ["second", 1, 0]];
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const local = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  const precise = new Intl.DateTimeFormat("en-GB", { dateStyle: undefined, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
  const zone = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" });

  function ago(then) {
    const seconds = Math.round((then - Date.now()) / 1000);
    if (Math.abs(seconds) > 30 * 86400) return local.format(then);
    const [unit, size] = UNITS.find(([, size, least]) => Math.abs(seconds) >= size * least);
    return relative.format(Math.trunc(seconds / size), unit);
  }

  function tell(each) {
    const then = new Date(each.dateTime);
    if (Number.isNaN(then.getTime())) return;
    if (!each.title) {
      const name = zone.formatToParts(then).find((part) => part.type === "timeZoneName")?.value ?? "";
      each.title = `${local.format(then)} ${name}\n${each.dateTime.replace("T", " ").replace("Z", "")} UTC`;
    }
    const text = each.hasAttribute("data-exact") ? precise.format(then) : ago(then);
    if (each.textContent !== text) each.textContent = text;
  }

  const tellAll = (root = document) => root.querySelectorAll("time").forEach(tell);

  // --- keys --------------------------------------------------------------------------------------------------------
  function step(by) {
    const rows = [...document.querySelectorAll("main a.row")];
    const at = rows.indexOf(document.activeElement);
    const next = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, [contenteditable]")) return;
    const keys = document.getElementById("keys");
    const does = {
      "/": () => document.getElementById("find")?.focus(),
      j: () => step(1),
      k: () => step(-1),
      "?": () => keys && (keys.open ? keys.close() : keys.showModal()),
    }[event.key];
    if (!does || (keys?.open && event.key !== "?")) return;
    event.preventDefault();
    does();
  });

  // --- live fragments ----------------------------------------------------------------------------------------------
  let source = null;
  let followed = "";

  function follow() {
    const page = document.getElementById("main")?.dataset.livePage;
    const wanted = document.hidden || page === undefined ? "" : `${document.body.dataset.root}/live?page=${encodeURIComponent(page)}`;
    if (wanted === followed) return;
    source?.close();
    source = null;
    followed = wanted;
    if (!wanted) return;
    source = new EventSource(wanted);
    source.addEventListener("parts", (event) => {
      for (const [name, html] of Object.entries(JSON.parse(event.data))) replace(name, html);
    });
  }

  function replace(name, html) {
    const place = document.querySelector(`[data-live="${CSS.escape(name)}"]`);
    if (!place || place.contains(document.getSelection()?.anchorNode) && !document.getSelection().isCollapsed) return;
    const open = [...place.querySelectorAll("details")].map((each) => each.open);
    const focused = place.contains(document.activeElement) ? document.activeElement.id || document.activeElement.getAttribute("href") : "";
    if (window.htmx) htmx.swap(place, html, { swapStyle: "innerHTML", swapDelay: 0, settleDelay: 0 });
    else place.innerHTML = html;
    place.querySelectorAll("details").forEach((each, at) => { each.open = each.open || open[at]; });
    if (focused) (document.getElementById(focused) || place.querySelector(`a[href="${CSS.escape(focused)}"]`))?.focus();
    ready(place);
  }

  // --- the rest ----------------------------------------------------------------------------------------------------
  function copy(event) {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = document.getElementById(button.dataset.copy)?.textContent ?? "";
    navigator.clipboard?.writeText(text).then(() => {
      const said = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = said; }, 1500);
    });
  }

  function enter() {
    const form = document.querySelector("form[data-sign-in]");
    const code = location.hash.slice(1);
    if (!form || !code) return;
    history.replaceState(null, "", location.pathname);
    form.elements.key.value = code;
    form.requestSubmit();
  }

  function ready(root = document) {
    tellAll(root);
    root.querySelectorAll("[data-only-script]").forEach((each) => { each.hidden = false; });
    document.dispatchEvent(new CustomEvent("tidings:ready", { detail: root }));
  }

  document.addEventListener("click", copy);
  document.addEventListener("visibilitychange", follow);
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form.filters");
    if (form && event.target.matches("select, [type=checkbox]")) form.requestSubmit();
  });
  document.addEventListener("htmx:afterSettle", () => { ready(); follow(); });
  setInterval(tellAll, 1000);
  // Not a refresh of the page: with a fragment, which the link to a portal has, a browser would stay where it is.
  const again = () => document.querySelectorAll("[data-again]").forEach((each) => setTimeout(() => location.reload(), 1000 * each.dataset.again));
  const begin = () => { ready(); enter(); follow(); again(); };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
