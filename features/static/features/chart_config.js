// Turns the data of a chart (featurehub/admin/chart.py) into a configuration of Chart.js.
const hubChartConfig = (() => {
    "use strict";
    const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
    // The steps of a time axis: round ones only. Beyond two weeks they are months, see `monthsOf`.
    const STEPS = [
        1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600,
    ].map((seconds) => seconds * SECOND);
    const MONTHS = [1, 2, 3, 6, 12, 24, 60];
    const PIXELS_A_TICK = 90;

    const isFlat = (data) => data.kind === "horizontal" || data.kind === "dumbbell";
    const isOverTime = (data) => data.moments.length > 0;
    const isNumeric = (data) => isOverTime(data) || data.series.some((one) => one.at.length > 0);
    const placesOf = (data, one) => (isOverTime(data) ? data.moments : one.at);
    const known = (values) => values.filter((value) => value !== null);

    const figure = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
    const withUnit = (value, axis) => {
        const unit = axis.unit === "×" || axis.unit === "%" ? axis.unit : "";
        return figure.format(value) + (unit === "%" ? " %" : unit);
    };
    const nameOf = (axis) => {
        const unit = axis.unit && !["×", "%"].includes(axis.unit) && axis.unit !== axis.label.toLowerCase() ? axis.unit : "";
        return axis.label && unit ? `${axis.label} (${unit})` : axis.label || unit;
    };

    function monthsOf(from, until, limit) {
        const span = (until - from) / (30.4 * DAY);
        const step = MONTHS.find((months) => span / months <= limit) || 120;
        const first = new Date(from);
        const ticks = [];
        for (let month = first.getUTCFullYear() * 12 + first.getUTCMonth(); ; month += 1) {
            const moment = Date.UTC(Math.floor(month / 12), month % 12, 1);
            if (moment > until) { return ticks; }
            if (moment >= from && month % step === 0) { ticks.push(moment); }
        }
    }

    function timeTicks(from, until, limit) {
        const step = STEPS.find((candidate) => (until - from) / candidate <= limit);
        if (!step) { return monthsOf(from, until, limit); }
        const ticks = [];
        for (let moment = Math.ceil(from / step) * step; moment <= until; moment += step) { ticks.push(moment); }
        return ticks;
    }

    function timeLabel(moment, before) {
        const date = new Date(moment);
        const part = (options) => date.toLocaleString("en-GB", { timeZone: "UTC", ...options });
        const day = part({ day: "numeric", month: "short" });
        const isNewDay = before === undefined || new Date(before).toISOString().slice(0, 10) !== date.toISOString().slice(0, 10);
        if (moment % DAY !== 0) {
            const time = part({ hour: "2-digit", minute: "2-digit", ...(moment % MINUTE ? { second: "2-digit" } : {}) });
            return isNewDay ? [time, day] : time;
        }
        const isNewYear = before === undefined || new Date(before).getUTCFullYear() !== date.getUTCFullYear();
        return isNewYear ? [day, String(date.getUTCFullYear())] : day;
    }

    function labelAxis(data, theme, width) {
        const axis = { title: title(data.x, theme), grid: { display: false }, border: { color: theme.line }, offset: !isNumeric(data) };
        const ticks = { color: theme.quiet, font: theme.font, maxRotation: 0 };
        if (!isNumeric(data)) {
            const long = isFlat(data) ? Math.max(10, Math.round(width / 20)) : Infinity;
            const shorten = (text) => (text.length > long ? `${text.slice(0, long - 1)}…` : text);
            const areFew = data.kind === "waterfall" || data.labels.length <= 10;
            ticks.autoSkip = !isFlat(data) && !areFew;
            ticks.callback = (value) => {
                const text = shorten(data.labels[value]);
                return areFew && !isFlat(data) ? text.split(" ") : text;
            };
            return { ...axis, type: "category", ticks };
        }
        const places = data.series.flatMap((one) => placesOf(data, one));
        let [min, max] = [Math.min(...places), Math.max(...places)];
        const isOfBars = data.kind === "bar" || data.kind === "stacked";
        const gap = places.length > 1 ? Math.min(...gaps(places)) : isOverTime(data) ? MINUTE : 1;
        if (isOfBars || min === max) { [min, max] = [min - gap / 2, max + gap / 2]; }
        if (!isOverTime(data)) {
            if (data.x.begins_at_zero && min > 0) { min = 0; }
            if (data.x.maximum !== null) { max = data.x.maximum; }
            [min, max] = [min, max].map((value) => Number(value.toPrecision(12)));
            ticks.callback = (value) => withUnit(value, data.x);
            return { ...axis, type: "linear", min, max, ticks };
        }
        ticks.autoSkip = false;
        ticks.callback = (value, index, all) => timeLabel(value, index ? all[index - 1].value : undefined);
        const limit = Math.max(2, Math.floor(width / PIXELS_A_TICK));
        const afterBuildTicks = (scale) => {
            scale.ticks = timeTicks(scale.min, scale.max, limit).map((value) => ({ value }));
        };
        return { ...axis, type: "linear", min, max, ticks, afterBuildTicks };
    }

    function gaps(places) {
        const sorted = [...new Set(places)].sort((one, other) => one - other);
        return sorted.length > 1 ? sorted.slice(1).map((place, index) => place - sorted[index]) : [1];
    }

    function valueAxis(data, theme) {
        const reach = data.series.flatMap((one) => known([...one.lows, ...one.highs])).concat(data.lines.map((line) => line.value));
        const values = data.series.flatMap((one) => known(one.values));
        const axis = {
            type: "linear",
            stacked: data.kind === "stacked",
            beginAtZero: data.y.begins_at_zero || ["bar", "stacked", "horizontal", "waterfall"].includes(data.kind),
            title: title(data.y, theme),
            grid: { color: theme.line },
            border: { display: false },
            ticks: { color: theme.quiet, font: theme.font, maxTicksLimit: 6, maxRotation: 0, callback: (value) => withUnit(value, data.y) },
        };
        if (values.every(Number.isInteger) && Math.max(...values) > 1) { axis.ticks.precision = 0; }
        if (reach.length) { axis.suggestedMin = Math.min(...reach); axis.suggestedMax = Math.max(...reach); }
        if (data.y.maximum !== null) { axis.max = data.y.maximum; }
        return axis;
    }

    // A line cannot show a value with a gap on both sides: that one gets a dot.
    const isAbsent = (value) => value === null || value === undefined;
    const isAlone = (values, index) => isAbsent(values[index - 1]) && isAbsent(values[index + 1]);

    const title = (axis, theme) => ({ display: Boolean(nameOf(axis)), text: nameOf(axis), color: theme.quiet, font: theme.font });

    // The first bar of a waterfall and the last stand on zero; the ones between hang where the one before has ended.
    function waterfall(values) {
        const last = values.length - 1;
        let sum = 0;
        return values.map((value, index) => {
            const from = index === 0 || index === last ? 0 : sum;
            sum = from + (value || 0);
            return [from, sum];
        });
    }

    function waterfallRoles(values) {
        const last = values.length - 1;
        return values.map((value, index) => (index === 0 || index === last ? "total" : value < 0 ? "fall" : "rise"));
    }

    function dataset(data, one, theme) {
        const isWaterfall = data.kind === "waterfall";
        const roles = one.roles.length ? one.roles : isWaterfall ? waterfallRoles(one.values) : null;
        const colour = roles ? roles.map((role) => theme.of(role)) : theme.of(one.role);
        const values = isWaterfall ? waterfall(one.values) : one.values;
        const points = isNumeric(data) ? values.map((value, index) => ({ x: placesOf(data, one)[index], y: value })) : values;
        const shared = { label: one.name, data: points, backgroundColor: colour, hoverBackgroundColor: colour };
        if (["bar", "stacked", "horizontal", "waterfall"].includes(data.kind)) {
            return { ...shared, type: "bar", categoryPercentage: 0.86, barPercentage: 0.96, minBarLength: 0, maxBarThickness: 64 };
        }
        const isDotted = data.kind === "points" || data.kind === "dumbbell";
        return {
            ...shared,
            type: "line",
            borderColor: colour,
            hoverBorderColor: colour,
            borderWidth: 2,
            borderDash: one.role === "before" ? [6, 3] : [],
            stepped: data.kind === "step" ? "before" : false,
            showLine: data.kind !== "dumbbell",
            fill: data.series.length === 1 && !isDotted ? "start" : false,
            backgroundColor: data.series.length === 1 && !isDotted ? theme.faint(one.role) : colour,
            pointBackgroundColor: colour,
            pointStyle: one.role === "before" ? "rectRot" : "circle",
            pointRadius: isDotted ? 5 : one.values.map((value, index) => (isAlone(one.values, index) ? 4 : 0)),
            pointHoverRadius: 6,
            pointHitRadius: 12,
        };
    }

    const linesOf = (data, index) =>
        data.series
            .filter((one) => one.values[index] !== null)
            .map((one) => (one.name && data.series.length > 1 ? `${one.name}: ${one.texts[index]}` : one.texts[index]));

    function tooltip(data, theme) {
        return {
            backgroundColor: theme.strong,
            titleColor: theme.ground,
            bodyColor: theme.ground,
            footerColor: theme.ground,
            titleFont: { ...theme.font, weight: 600 },
            bodyFont: theme.font,
            footerFont: { ...theme.font, weight: 400 },
            padding: 10,
            displayColors: data.series.length > 1,
            callbacks: {
                title: (items) => (items.length ? data.labels[items[0].dataIndex] : ""),
                label: (item) => {
                    const one = data.series[item.datasetIndex];
                    const text = one.texts[item.dataIndex];
                    return data.series.length > 1 ? `${one.name}: ${text}` : text;
                },
                footer: (items) => (items.length && data.notes.length ? data.notes[items[0].dataIndex] : ""),
            },
        };
    }

    function configOf(data, theme, width, plugins) {
        const flat = isFlat(data);
        const axes = { labels: labelAxis(data, theme, width), values: valueAxis(data, theme) };
        axes.labels.stacked = data.kind === "stacked";
        const hasOwnPlaces = !isOverTime(data) && data.kind === "points" && isNumeric(data);
        return {
            type: "bar",
            data: { labels: isNumeric(data) ? undefined : data.labels, datasets: data.series.map((one) => dataset(data, one, theme)) },
            options: {
                animation: false,
                responsive: true,
                maintainAspectRatio: false,
                indexAxis: flat ? "y" : "x",
                interaction: { mode: hasOwnPlaces ? "nearest" : "index", axis: flat ? "y" : "x", intersect: false },
                scales: flat ? { y: axes.labels, x: axes.values } : { x: axes.labels, y: axes.values },
                plugins: { legend: { display: false }, tooltip: tooltip(data, theme) },
            },
            plugins,
        };
    }

    return { configOf, isFlat, isOverTime, isNumeric, placesOf, linesOf };
})();
