// Shows how far the download of a long customer list is: the browser itself does not know its length.
(() => {
    const LONG = 20_000;
    const link = document.querySelector("[data-csv]");
    if (!link) return;
    const progress = document.getElementById("list-progress");
    const bar = progress.querySelector("progress");
    const words = progress.querySelector("p");
    // The number comes after the page.
    const customers = () => Number(document.getElementById("fh-figures")?.dataset.customers ?? 0);
    let total = 0;

    const show = (rows) => {
        bar.value = Math.min((100 * rows) / total, 100);
        words.textContent = `${rows.toLocaleString("en")} of ${total.toLocaleString("en")} customers`;
    };

    const linesIn = (part) => part.reduce((lines, byte) => lines + (byte === 10 ? 1 : 0), 0);

    const save = (parts, name) => {
        const saving = document.createElement("a");
        saving.href = URL.createObjectURL(new Blob(parts, { type: "text/csv" }));
        saving.download = name;
        saving.click();
        setTimeout(() => URL.revokeObjectURL(saving.href), 60_000);
    };

    const download = async () => {
        const answer = await fetch(link.href, { credentials: "same-origin" });
        const name = /filename="(.+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1];
        // Without a file the answer is the page with the reason.
        if (!name) return void window.location.reload();
        const parts = [];
        let rows = 0;
        for (const reader = answer.body.getReader(); ; ) {
            const { done, value } = await reader.read();
            if (done) break;
            parts.push(value);
            rows += linesIn(value);
            show(rows);
        }
        save(parts, name);
        words.textContent = `${(rows - 1).toLocaleString("en")} customers were downloaded.`;
    };

    link.addEventListener("click", async (event) => {
        total = customers();
        if (total < LONG) return;
        event.preventDefault();
        if (!progress.hidden && bar.value < 100) return;
        progress.hidden = false;
        show(0);
        try {
            await download();
            bar.value = 100;
        } catch {
            progress.hidden = true;
            window.alert("The download broke off. Try again, or narrow the list.");
        }
    });
})();
