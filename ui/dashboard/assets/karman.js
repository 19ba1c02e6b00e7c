// The little that pages do themselves: dialogs, notes, the log, shortcuts.
// Everything else is done by the server and htmx.
(() => {
  "use strict";
  const LOG_PARTS_MAX = 2000;
  const byId = (id) => document.getElementById(id);

  // A dialog opens when its content arrives and closes when its work is done.
  document.addEventListener("htmx:afterSwap", (event) => {
    const dialog = byId("dialog");
    if (event.detail.target === dialog && dialog.innerHTML.trim() !== "" && !dialog.open) {
      dialog.showModal();
    }
  });
  document.addEventListener("click", (event) => {
    const dialog = byId("dialog");
    if (!dialog || !dialog.open) return;
    if (event.target === dialog || event.target.closest("[data-close]")) {
      event.preventDefault();
      event.stopPropagation();
      dialog.close();
    }
  }, true);

  let hide = 0;
  document.addEventListener("karman:done", (event) => {
    byId("dialog")?.close();
    const toast = byId("toast");
    toast.textContent = event.detail.message;
    toast.classList.add("shown");
    clearTimeout(hide);
    hide = setTimeout(() => toast.classList.remove("shown"), 4000);
  });

  // Whether what is shown is current.
  const link = (state) => byId("link")?.setAttribute("data-state", state);
  document.addEventListener("htmx:sseOpen", () => link("on"));
  document.addEventListener("htmx:sseError", () => link("off"));

  // A page that nobody sees gives its connection back: browsers allow six to
  // one server, over all tabs. Seen again, it catches up.
  const sources = new Set();
  let paused = false;
  htmx.createEventSource = (url) => {
    for (const source of sources) if (source.readyState === EventSource.CLOSED) sources.delete(source);
    const source = new EventSource(url);
    sources.add(source);
    return source;
  };
  let away = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(away);
    if (document.hidden) {
      away = setTimeout(() => {
        paused = sources.size > 0;
        for (const source of sources) source.close();
        sources.clear();
      }, 10000);
    } else if (paused) {
      paused = false;
      if (byId("log")) location.reload();
      else if (byId("live")) htmx.ajax("GET", location.href, { target: "#live", select: "#live", swap: "outerHTML" });
    }
  });

  // A page that is left may be kept by the browser, and its connections with it.
  window.addEventListener("pagehide", () => {
    for (const source of sources) source.close();
    sources.clear();
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });

  // The log: bounded, and following its end until the reader scrolls up.
  document.addEventListener("htmx:sseMessage", (event) => {
    const log = event.target.closest?.("#log");
    if (!log) return;
    while (log.childNodes.length > LOG_PARTS_MAX) log.firstChild.remove();
    if (byId("follow")?.checked) log.scrollTop = log.scrollHeight;
  });
  document.addEventListener("scroll", (event) => {
    const log = event.target;
    if (log.id !== "log") return;
    const follow = byId("follow");
    if (follow) follow.checked = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  }, true);
  document.addEventListener("change", (event) => {
    const log = byId("log");
    if (!log) return;
    if (event.target.id === "wrap") log.classList.toggle("wrap", event.target.checked);
    if (event.target.id === "follow" && event.target.checked) log.scrollTop = log.scrollHeight;
  });

  // "/" goes to the search field.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog")) return;
    const search = byId("q");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  });
})();
