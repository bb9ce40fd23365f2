// Keeps the bars of running runs up to date: one request every two seconds for all of them, none where none is running.
(() => {
    const SECONDS = 2;
    const running = () => [...document.querySelectorAll('[data-run][data-state="running"]')];

    const show = (progress) => {
        for (const bar of document.querySelectorAll(`[data-run="${progress.id}"]`)) {
            bar.dataset.state = progress.state;
            bar.querySelector("progress").value = progress.percent;
            bar.querySelector('[data-part="percent"]').textContent = `${progress.percent} %`;
            for (const part of ["text", "pace"]) {
                bar.querySelector(`[data-part="${part}"]`).textContent = progress[part];
            }
        }
    };

    const refresh = async () => {
        const bars = running();
        if (bars.length === 0) return;
        const query = new URLSearchParams(bars.map((bar) => ["id", bar.dataset.run]));
        try {
            const answer = await fetch(`${bars[0].dataset.url}?${query}`, { credentials: "same-origin" });
            if (answer.ok) (await answer.json()).runs.forEach(show);
            // The list's state labels, and what else changed with it.
            if (running().length < bars.length) return void window.location.reload();
        } catch {
            // The server is away for a moment: ask again.
        }
        setTimeout(refresh, SECONDS * 1000);
    };

    window.addEventListener("load", () => setTimeout(refresh, SECONDS * 1000));
})();
