// Live pages: one stream of events tells that something was recorded, and the parts that ask for news are fetched anew.
// Nothing here builds HTML: htmx swaps what the server rendered. Without this file every page still shows all that it shows.
"use strict";
(function () {
  const parts = document.querySelectorAll("[data-live]");
  if (!parts.length || !window.EventSource || !window.htmx) return;
  const status = document.getElementById("live");
  const LEAST = 1500; // ms between two refreshes, however much is recorded
  let stream = null, last = 0, planned = 0;

  function say(text) { if (status && status.textContent !== text) status.textContent = text; }

  function busy() {
    // never under a person's hands: an open menu, a half-typed text, a selection
    const active = document.activeElement;
    return active && active.closest("[data-live]") && active.matches("input, select, textarea") || document.hidden;
  }

  function touched(part) {
    return Array.from(part.querySelectorAll("input")).some(function (input) {
      return input.value !== input.defaultValue || input.checked !== input.defaultChecked;
    });
  }

  function refresh() {
    planned = 0;
    if (busy()) { plan(LEAST); return; }
    last = Date.now();
    document.querySelectorAll("[data-live]").forEach(function (part) {
      if (touched(part)) return; // nor a form that somebody began and left for a moment
      if (!part.querySelector("details[open]")) window.htmx.trigger(part, "news"); // nor what somebody is reading
    });
  }

  function plan(wait) { if (!planned) planned = window.setTimeout(refresh, wait); }

  function start() {
    stream = new EventSource("/events");
    stream.addEventListener("open", function () { say("Live"); });
    stream.addEventListener("news", function () { plan(Math.max(0, last + LEAST - Date.now())); });
    stream.addEventListener("over", function () { stream.close(); say("Logged out"); window.location.reload(); });
    stream.addEventListener("error", function () { say("Not live: waiting for the gateway"); });
  }

  document.addEventListener("visibilitychange", function () { if (!document.hidden) plan(0); });
  window.addEventListener("pagehide", function () { if (stream) stream.close(); });
  window.addEventListener("pageshow", function (event) { if (event.persisted) start(); });
  start();
})();
