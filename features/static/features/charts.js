// Draws every chart of a page with Chart.js, makes its points reachable by keyboard, and refreshes those that ask for it.
(() => {
    "use strict";
    const PIXELS_A_ROW = 30, PIXELS_OF_AXES = 74;
    const drawn = new Map();
    const part = (figure, name) => figure.querySelector(`[data-part="${name}"]`);

    // Colours as the style sheet has them now, as rgb, whatever notation they are written in.
    function themeOf(figure) {
        const styles = getComputedStyle(figure);
        const pixel = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
        const rgb = (name) => {
            pixel.fillStyle = styles.getPropertyValue(name).trim();
            pixel.fillRect(0, 0, 1, 1);
            return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3).join(" ");
        };
        const colour = (name) => `rgb(${rgb(name)})`;
        const nameOf = (role) => (styles.getPropertyValue(`--hub-role-${role}`) ? `--hub-role-${role}` : "--hub-role-plain");
        return {
            line: colour("--hub-line"),
            quiet: colour("--hub-quiet"),
            strong: colour("--hub-strong"),
            ground: colour("--hub-ground"),
            of: (role) => colour(nameOf(role)),
            faint: (role) => `rgb(${rgb(nameOf(role))} / 0.12)`,
            font: { family: styles.fontFamily, size: 12 },
        };
    }

    function draw(figure) {
        const state = drawn.get(figure);
        const plot = part(figure, "plot");
        const theme = themeOf(figure);
        if (hubChartConfig.isFlat(state.data)) {
            plot.style.height = `${state.data.labels.length * PIXELS_A_ROW + PIXELS_OF_AXES}px`;
        }
        state.chart?.destroy();
        const config = hubChartConfig.configOf(state.data, theme, plot.clientWidth || 600, [hubChartMarks.pluginOf(state.data, theme)]);
        config.options.onClick = (event, points) => points.length && follow(state.data, points[0].index);
        config.options.onHover = (event, points) => {
            plot.classList.toggle("hub-leads-on", Boolean(points.length && state.data.links[points[0].index]));
        };
        state.chart = new Chart(plot.querySelector("canvas"), config);
        if (state.index !== null && plot.contains(document.activeElement)) { point(figure, state.index, false); }
    }

    function follow(data, index) {
        if (data.links[index]) { window.location.href = data.links[index]; }
    }

    // Shows the tooltip of a point and, where `isSaid`, gives its text to screen readers.
    function point(figure, index, isSaid = true) {
        const { chart, data } = drawn.get(figure);
        const active = index === null ? [] : data.series
            .map((one, datasetIndex) => ({ datasetIndex, index }))
            .filter(({ datasetIndex }) => data.series[datasetIndex].values[index] !== null);
        drawn.get(figure).index = index;
        chart.setActiveElements(active);
        chart.tooltip.setActiveElements(active, { x: 0, y: 0 });
        chart.update("none");
        if (isSaid && index !== null) {
            const words = [data.labels[index], ...hubChartConfig.linesOf(data, index), data.notes[index] || ""];
            part(figure, "read").textContent = words.filter(Boolean).join(". ");
        }
    }

    function press(figure, event) {
        const { data, index } = drawn.get(figure);
        const last = data.labels.length - 1;
        const far = Math.max(1, Math.round(data.labels.length / 10));
        const moves = {
            ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: far, PageUp: -far, Home: -Infinity, End: Infinity,
        };
        if (event.key === "Enter" && index !== null) {
            follow(data, index);
        } else if (event.key === "Escape") {
            point(figure, null);
        } else if (event.key in moves && last >= 0) {
            const start = index ?? (moves[event.key] > 0 ? -1 : last + 1);
            point(figure, Math.min(last, Math.max(0, start + moves[event.key])));
            event.preventDefault();
        }
    }

    const element = (tag, text, attributes = {}) => {
        const made = Object.assign(document.createElement(tag), attributes);
        made.append(text);
        return made;
    };

    // Writes legend and table again, from the texts that came with the chart.
    function rewrite(figure, data) {
        const rows = data.labels.map((label, index) => {
            const row = document.createElement("tr");
            const name = data.links[index] ? element("a", label, { href: data.links[index], className: "hub-link" }) : label;
            row.append(element("th", name, { scope: "row" }), ...data.series.map((one) => element("td", one.texts[index])));
            if (data.notes.length) { row.append(element("td", data.notes[index], { className: "hub-note-cell" })); }
            return row;
        });
        const head = document.createElement("tr");
        head.append(...data.head.map((name) => element("th", name, { scope: "col" })));
        figure.querySelector("table thead").replaceChildren(head);
        figure.querySelector("table tbody").replaceChildren(...rows);
        part(figure, "legend").hidden = data.series.length < 2;
        part(figure, "legend").replaceChildren(...data.series.map((one) => {
            const item = element("li", element("span", "", { className: `hub-key hub-role-${one.role}` }));
            item.append(one.name);
            return item;
        }));
    }

    async function refresh(figure) {
        const state = drawn.get(figure);
        if (!state) { return; }
        const status = part(figure, "status");
        if (!document.hidden) {
            try {
                const answer = await fetch(figure.dataset.refreshUrl, { credentials: "same-origin", headers: { Accept: "application/json" } });
                if (!answer.ok || answer.redirected) { throw new Error(`status ${answer.status}`); }
                state.data = await answer.json();
                state.index = state.index === null ? null : Math.min(state.index, state.data.labels.length - 1);
                state.refreshedAt = new Date();
                rewrite(figure, state.data);
                draw(figure);
                status.hidden = true;
            } catch {
                const time = state.refreshedAt.toISOString().slice(11, 16);
                status.textContent = `Not refreshed since ${time} UTC; trying again.`;
                status.hidden = false;
            }
        }
        state.timer = setTimeout(refresh, figure.dataset.seconds * 1000, figure);
    }

    function mount(figure) {
        const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
        drawn.set(figure, { data, chart: null, index: null, timer: null, refreshedAt: new Date() });
        const plot = part(figure, "plot");
        plot.addEventListener("keydown", (event) => press(figure, event));
        plot.addEventListener("blur", () => point(figure, null));
        draw(figure);
        if (figure.dataset.refreshUrl) {
            drawn.get(figure).timer = setTimeout(refresh, figure.dataset.seconds * 1000, figure);
        }
    }

    function update() {
        for (const [figure, state] of drawn) {
            if (!figure.isConnected) {
                clearTimeout(state.timer);
                state.chart.destroy();
                drawn.delete(figure);
            }
        }
        document.querySelectorAll("[data-chart]").forEach((figure) => drawn.has(figure) || mount(figure));
    }

    document.addEventListener("DOMContentLoaded", () => {
        update();
        // Parts of a page that come later bring charts, and take them away.
        new MutationObserver(update).observe(document.body, { childList: true, subtree: true });
        // Light became dark, or the other way round.
        new MutationObserver(() => [...drawn.keys()].forEach(draw)).observe(document.documentElement, { attributeFilter: ["class"] });
    });
})();
