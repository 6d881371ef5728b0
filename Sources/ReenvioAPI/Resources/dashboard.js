// Live updates and copying; everything else works without this file.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    button.textContent = "Copied";
  });
}

const show = (event) => {
  for (const [name, text] of Object.entries(event.texts ?? {})) {
    for (const place of document.querySelectorAll(`[data-field="${name}"]`)) {
      if (place.textContent !== text) place.textContent = text;
    }
    const labelled = document.querySelector(`svg[data-label="${name}"]`);
    if (labelled) labelled.setAttribute("aria-label", text);
  }
  for (const [name, tone] of Object.entries(event.tones ?? {})) {
    for (const place of document.querySelectorAll(`.pill[data-field="${name}"]`)) place.className = `pill ${tone}`;
  }
  for (const [name, points] of Object.entries(event.lines ?? {})) {
    document.querySelector(`[data-line="${name}"]`)?.setAttribute("points", points);
  }
  for (const [name, span] of Object.entries(event.bars ?? {})) {
    const bar = document.querySelector(`[data-bar="${name}"]`);
    const [x, width] = span.split(" ");
    bar?.setAttribute("x", x);
    bar?.setAttribute("width", width);
  }
};

const root = document.querySelector("[data-live]");
if (root && window.EventSource) {
  const source = new EventSource(root.dataset.live);
  source.addEventListener("message", (message) => {
    const event = JSON.parse(message.data);
    show(event);
    if (event.over) {
      source.close();
      // The buttons and the ledger are those of a job that has ended.
      location.reload();
    }
  });
  window.addEventListener("pagehide", () => source.close());
}
