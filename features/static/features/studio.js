/* The studio: sliders and numbers follow each other, the preview follows them, and unsaved numbers outlive a reload. */
(function () {
    "use strict";
    const form = document.getElementById("fh-studio");
    const status = document.getElementById("fh-status");
    const preview = document.getElementById("fh-preview");
    const chart = document.getElementById("fh-preview-chart");
    const restored = document.getElementById("fh-restored");
    const numbers = Array.from(form.querySelectorAll("input[type=number]"));
    const kept = Array.from(form.querySelectorAll("input[type=number], input[type=text], textarea"));
    const presets = JSON.parse(document.getElementById("fh-presets").textContent);
    const key = (set) => `featurehub-studio-${set}`;
    const MILLISECONDS_OF_REST = 80;
    let timer = null;
    let request = null;

    const sliderOf = (number) => form.querySelector(`input[type=range][data-for="${number.id}"]`);
    const rounded = (value, number) => {
        const step = Number(number.step);
        const decimals = (number.step.split(".")[1] || "").length;
        return (Math.round(value / step) * step).toFixed(decimals);
    };

    function keep() {
        localStorage.setItem(key(form.dataset.set), JSON.stringify(kept.map((input) => [input.name, input.value])));
    }

    function restore() {
        const saved = new URLSearchParams(location.search).get("saved");
        if (saved !== null) {
            localStorage.removeItem(key(saved));
            localStorage.removeItem(key(form.dataset.set));
            history.replaceState(null, "", location.pathname);
        }
        const stored = JSON.parse(localStorage.getItem(key(form.dataset.set)) || "[]");
        const changed = stored.filter(([name, value]) => form.elements[name] && form.elements[name].value !== value);
        changed.forEach(([name, value]) => { form.elements[name].value = value; });
        restored.hidden = changed.length === 0;
        numbers.forEach((number) => { sliderOf(number).value = number.value; });
    }

    function show(errors) {
        numbers.forEach((number) => {
            const mine = (errors[number.name] || []).map((error) => error.message).join(" ");
            document.getElementById(`${number.id}_error`).textContent = mine;
            number.setAttribute("aria-invalid", mine ? "true" : "false");
        });
        const general = (errors.__all__ || []).map((error) => error.message).join(" ");
        if (Object.keys(errors).length) {
            status.textContent = general || "No preview: correct the marked number.";
        }
    }

    async function refresh(opened) {
        if (request) { request.abort(); }
        request = new AbortController();
        const body = new FormData(form);
        if (opened === true) { body.set("opened", "1"); }
        try {
            const answer = await fetch(form.dataset.preview, { method: "POST", body: body, signal: request.signal });
            if (answer.status === 400) {
                show((await answer.json()).errors);
                return;
            }
            if (!answer.ok || answer.redirected) { throw new Error(`status ${answer.status}`); }
            preview.innerHTML = await answer.text();
            chart.replaceChildren(preview.querySelector("[data-place=chart]"));
            show({});
            const mean = chart.querySelector("[data-figure=mean]");
            status.textContent = mean ? `The mean score would be ${mean.textContent}.` : "";
        } catch (error) {
            if (error.name !== "AbortError") {
                status.textContent = "No preview: the server did not answer. Your numbers are kept; move a slider to try again.";
            }
        }
    }

    function soon() {
        clearTimeout(timer);
        timer = setTimeout(refresh, MILLISECONDS_OF_REST);
    }

    form.addEventListener("input", (event) => {
        const input = event.target;
        if (input.type === "range") {
            const number = document.getElementById(input.dataset.for);
            number.value = rounded(input.value, number);
        } else if (input.type === "number") {
            sliderOf(input).value = input.value;
        }
        if (input.id !== "fh-preset") {
            keep();
            soon();
        }
    });
    document.getElementById("fh-preset").addEventListener("change", (event) => {
        Object.entries(presets[event.target.value] || {}).forEach(([name, value]) => {
            form.elements[name].value = value;
            sliderOf(form.elements[name]).value = value;
        });
        keep();
        soon();
    });
    document.getElementById("fh-discard").addEventListener("click", () => {
        localStorage.removeItem(key(form.dataset.set));
        form.reset();
        numbers.forEach((number) => { sliderOf(number).value = number.value; });
        restored.hidden = true;
        refresh();
    });

    // After a save that failed: to the first field that it failed at, or to the message where it was none.
    function what_failed() {
        const message = document.getElementById("fh-not-saved");
        const fault = message && form.querySelector('[aria-invalid="true"]');
        return fault || form.querySelector(".fh-failed")?.closest(".fh-field").querySelector("input, textarea") || message;
    }

    restore();
    const failed = what_failed();
    const center = () => failed.scrollIntoView({ block: "center" });
    const shown = refresh(true);
    if (failed !== null) {
        failed.focus({ preventScroll: true });
        center();
        // The chart has moved it, where there is one column.
        shown.then(() => requestAnimationFrame(() => { if (document.activeElement === failed) { center(); } }));
    }
})();
