/* The page of a definition: the fields of the chosen type, and the preview on a sample. */
(function () {
    "use strict";
    // Type → what makes it; metadata_key and half_life_days depend on the kind besides.
    const OF_TYPE = {
        behavioral: ["kind", "metadata_key", "event_type", "category", "window_hours", "half_life_days"],
        derived: ["expression"],
        customer: [],
        contextual: [],
    };
    const VERSIONS = Object.keys(OF_TYPE).map((type) => `version_${type}`);
    const DEPENDING = [...Object.values(OF_TYPE).flat(), ...VERSIONS];
    const WITH_HALF_LIFE = ["count", "sum", "mean"];

    function set_up(settings) {
        const form = settings.closest("form");
        const status = document.getElementById("fh-status");
        const preview = document.getElementById("fh-preview");
        const button = document.getElementById("fh-preview-button");

        function is_shown(name, type, kind) {
            if (VERSIONS.includes(name)) { return name === `version_${type}`; }
            if (name === "metadata_key") { return type === "behavioral" && kind !== "" && kind !== "count"; }
            if (name === "half_life_days") { return type === "behavioral" && WITH_HALF_LIFE.includes(kind); }
            return OF_TYPE[type].includes(name);
        }

        function show() {
            const type = settings.dataset.type || form.elements.feature_type.value;
            const kind = form.elements.kind ? form.elements.kind.value : "";
            for (const name of DEPENDING) {
                const field = form.elements[name];
                const line = field && field.closest(".field-line");
                if (!line) { continue; }
                line.hidden = !is_shown(name, type, kind);
                const row = line.closest(".form-row");
                row.hidden = [...row.querySelectorAll(".field-line")].every((each) => each.hidden);
            }
            document.getElementById("fh-try-panel").hidden = OF_TYPE[type].length === 0;
        }

        async function ask() {
            button.disabled = true;
            status.textContent = "Computing …";
            try {
                const answer = await fetch(settings.dataset.preview, { method: "POST", body: new FormData(form) });
                if (!answer.ok || answer.redirected) { throw new Error(`status ${answer.status}`); }
                preview.innerHTML = await answer.text();
                status.textContent = "";
                preview.scrollIntoView({ behavior: "smooth", block: "nearest" });
            } catch {
                status.textContent = "No preview: the server did not answer. Your fields are kept; try again.";
            } finally {
                button.disabled = false;
            }
        }

        form.addEventListener("change", show);
        button.addEventListener("click", ask);
        // What was tried is not what is in the fields any more.
        form.addEventListener("input", () => { if (preview.children.length) { status.textContent = "You changed a field: preview again."; } });
        show();
    }

    document.addEventListener("DOMContentLoaded", () => {
        const settings = document.getElementById("fh-definition");
        if (settings) { set_up(settings); }
    });
})();
