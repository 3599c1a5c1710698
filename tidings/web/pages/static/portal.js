// The portal's frame: exchanges the token of the URL for a session, keeps that in memory, and sends it with each request.
"use strict";
(() => {
  const { root, frameOrigins, returnUrl } = document.body.dataset;
  const origins = frameOrigins.split(" ").filter(Boolean);
  const STORED = `tidings-portal ${root}`;
  let session = "";

  // In a frame of another site a browser may refuse to store anything. Then a reload needs a new link.
  const stored = {
    get() { try { return sessionStorage.getItem(STORED) ?? ""; } catch { return ""; } },
    set(text) {
      try {
        if (text) sessionStorage.setItem(STORED, text);
        else sessionStorage.removeItem(STORED);
      } catch { /* It stays in memory. */ }
    },
  };

  // --- the page that shows this one in a frame -----------------------------------------------------------------------
  function tell(message) {
    if (window.parent === window) return;
    const above = window.location.ancestorOrigins;
    for (const origin of origins) {
      if (above && !above.contains(origin)) continue;
      window.parent.postMessage({ source: "tidings-portal", ...message }, origin);
    }
  }

  let told = 0;
  new ResizeObserver(() => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    if (height !== told) tell({ type: "height", height });
    told = height;
  }).observe(document.body);

  // --- opening -------------------------------------------------------------------------------------------------------
  async function open() {
    const token = location.hash.slice(1);
    if (/^[A-Za-z0-9_-]{40,}$/.test(token)) {
      history.replaceState({ portal: true }, "", location.pathname + location.search);
      const refused = await exchange(token);
      // The same link in the same tab: its session lasts.
      session ||= stored.get();
      if (!session) return fail(refused);
    } else {
      session = stored.get();
      if (!session) return fail("Open this page with the link that you were given: the part after the # is missing here.");
    }
    return load(location.pathname + location.search);
  }

  async function exchange(token) {
    try {
      const answer = await fetch(`${root}/@/session`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }),
        credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer",
      });
      const said = await answer.json();
      if (!answer.ok) return said.detail;
      session = said.session;
      stored.set(session);
      return "";
    } catch {
      return "The server cannot be reached. Try again in a moment.";
    }
  }

  function fail(why) {
    const main = document.getElementById("main");
    const title = document.createElement("h1");
    title.textContent = "This page cannot be opened";
    const text = document.createElement("p");
    text.className = "problem";
    text.setAttribute("role", "alert");
    text.textContent = why;
    main.replaceChildren(title, text);
    if (returnUrl) {
      const back = document.createElement("a");
      Object.assign(back, { href: returnUrl, className: "button", target: "_top", rel: "noreferrer", textContent: "Get a new link" });
      main.append(back);
    }
    main.removeAttribute("aria-busy");
    ended();
  }

  function ended() {
    session = "";
    stored.set("");
    document.querySelector(".top nav").hidden = true;
    tell({ type: "expired" });
  }

  // --- moving from page to page --------------------------------------------------------------------------------------
  function load(path) {
    return htmx.ajax("GET", path, { target: "#main", swap: "outerHTML" });
  }

  document.addEventListener("htmx:configRequest", (event) => {
    const { path } = event.detail;
    if (!session || (path !== root && !path.startsWith(`${root}/`) && !path.startsWith(`${root}?`))) event.preventDefault();
    event.detail.headers.Authorization = `Bearer ${session}`;
  });

  document.addEventListener("htmx:beforeRequest", () => document.getElementById("main")?.classList.add("is-waiting"));
  document.addEventListener("htmx:afterRequest", () => document.getElementById("main")?.classList.remove("is-waiting"));
  document.addEventListener("htmx:sendError", () => {
    const main = document.getElementById("main");
    main?.querySelector(".problem.offline")?.remove();
    const text = document.createElement("p");
    text.className = "problem offline";
    text.setAttribute("role", "alert");
    text.textContent = "The server cannot be reached. Try again in a moment.";
    main?.prepend(text);
  });

  document.addEventListener("htmx:afterOnLoad", (event) => {
    const { xhr, pathInfo, requestConfig } = event.detail;
    const moved = xhr.getResponseHeader("Portal-Location");
    const path = moved ?? (requestConfig.verb === "get" ? pathInfo.finalRequestPath : "");
    if (path && path !== location.pathname + location.search) history.pushState({ portal: true }, "", path);
  });

  window.addEventListener("popstate", () => { if (session) load(location.pathname + location.search); });

  document.addEventListener("htmx:afterSettle", (event) => {
    const main = document.getElementById("main");
    if (!main) return;
    const focused = document.activeElement;
    if (!focused || focused === document.body) main.focus({ preventScroll: true });
    if (event.detail.requestConfig?.elt !== document.body || !main.contains(focused)) window.scrollTo(0, 0);
    for (const link of document.querySelectorAll(".top nav a")) {
      if (link.dataset.nav === main.dataset.nav) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if ("ended" in main.dataset) ended();
  });

  // --- the tree of event types: "all events" and its parts exclude each other ---------------------------------------
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!box.matches?.('.tree input[type="checkbox"]') || !box.checked) return;
    const others = [...document.querySelectorAll('.tree input[type="checkbox"]')];
    const covers = (one, other) => one === "*" || (one.endsWith(".*") && other.startsWith(one.slice(0, -1)));
    for (const other of others) {
      if (other !== box && (covers(box.value, other.value) || covers(other.value, box.value))) other.checked = false;
    }
  });

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", open);
  else open();
})();
