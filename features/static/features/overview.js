// Keeps alerts, tiles and runs of the Overview up to date. The charts refresh themselves (charts.js).
(() => {
    "use strict";
    const page = document.querySelector("[data-overview]");
    if (!page) { return; }
    const status = document.getElementById("overview-refreshed");
    const shown = new Map();

    function show(id, html) {
        const part = document.getElementById(id);
        // A link that has the focus stays until it has left it.
        if (!part || shown.get(id) === html || part.contains(document.activeElement)) { return; }
        shown.set(id, html);
        part.innerHTML = html;
    }

    async function refresh() {
        try {
            const answer = await fetch(page.dataset.overview, { credentials: "same-origin", headers: { Accept: "application/json" } });
            if (!answer.ok || answer.redirected) { throw new Error(`status ${answer.status}`); }
            const data = await answer.json();
            Object.entries(data.parts).forEach(([id, html]) => show(id, html));
            status.textContent = `Refreshed at ${data.refreshed_at}; refreshes by itself.`;
        } catch {
            status.textContent = status.textContent.replace("; refreshes by itself.", "; the server does not answer, trying again.");
        }
    }

    // What is said below a chart changes with it.
    page.addEventListener("hub-refreshed", (event) => {
        const note = event.target.closest("[data-card]")?.querySelector('[data-part="note"]');
        if (note && event.detail.note) { note.textContent = event.detail.note; }
    });
    setInterval(() => document.hidden || refresh(), page.dataset.seconds * 1000);
    document.addEventListener("visibilitychange", () => document.hidden || refresh());
})();
