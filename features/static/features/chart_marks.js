// What Chart.js does not draw by itself: intervals, dumbbells, reference lines and marks.
const hubChartMarks = (() => {
    "use strict";
    const { isFlat, isNumeric } = hubChartConfig;

    function stroke(context, colour, points, dash = [], width = 1) {
        context.save();
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.setLineDash(dash);
        context.beginPath();
        context.moveTo(...points[0]);
        context.lineTo(...points[1]);
        context.stroke();
        context.restore();
    }

    function write(context, theme, text, x, y, { end = false } = {}) {
        context.save();
        context.font = `${theme.font.size}px ${theme.font.family}`;
        const width = context.measureText(text).width;
        const left = end ? x - width : x;
        context.globalAlpha = 0.85;
        context.fillStyle = theme.ground;
        context.fillRect(left - 3, y - theme.font.size, width + 6, theme.font.size + 4);
        context.globalAlpha = 1;
        context.fillStyle = theme.strong;
        context.fillText(text, left, y);
        context.restore();
        return left + width;
    }

    function intervals(chart, data, theme) {
        data.series.forEach((one, number) => {
            const points = chart.getDatasetMeta(number).data;
            one.lows.forEach((low, index) => {
                if (low === null || one.highs[index] === null || !points[index]) { return; }
                const ends = [low, one.highs[index]].map((value) => chart.scales.y.getPixelForValue(value));
                const x = points[index].x;
                stroke(chart.ctx, theme.of(one.role), [[x, ends[0]], [x, ends[1]]], [], 1.5);
                for (const y of ends) { stroke(chart.ctx, theme.of(one.role), [[x - 4, y], [x + 4, y]], [], 1.5); }
            });
        });
    }

    function dumbbells(chart, data, theme) {
        const [before, after] = [0, 1].map((number) => chart.getDatasetMeta(number).data);
        before.forEach((point, index) => {
            if (!after[index] || Number.isNaN(point.x) || Number.isNaN(after[index].x)) { return; }
            stroke(chart.ctx, theme.quiet, [[point.x, point.y], [after[index].x, after[index].y]], [], 3);
        });
    }

    function referenceLines(chart, data, theme) {
        const { left, right, top, bottom } = chart.chartArea;
        for (const line of data.lines) {
            if (isFlat(data)) {
                const x = chart.scales.x.getPixelForValue(line.value);
                stroke(chart.ctx, theme.strong, [[x, top], [x, bottom]], [5, 4], 1.5);
                write(chart.ctx, theme, line.label, x > (left + right) / 2 ? x - 6 : x + 6, top + 12, { end: x > (left + right) / 2 });
            } else {
                const y = chart.scales.y.getPixelForValue(line.value);
                stroke(chart.ctx, theme.strong, [[left, y], [right, y]], [5, 4], 1.5);
                write(chart.ctx, theme, line.label, right - 4, y < top + 20 ? y + 16 : y - 6, { end: true });
            }
        }
    }

    function marks(chart, data, theme) {
        const { left, right, top, bottom } = chart.chartArea;
        const ends = [];
        for (const mark of data.marks) {
            const x = chart.scales.x.getPixelForValue(isNumeric(data) ? mark.at : data.labels.indexOf(mark.at));
            if (x < left - 1 || x > right + 1) { continue; }
            stroke(chart.ctx, theme.strong, [[x, top], [x, bottom]], [4, 3]);
            // The first row in which the label does not cover another.
            let row = ends.findIndex((end) => end + 8 < x);
            if (row < 0) { row = ends.length; }
            const isNearEnd = x > left + 0.7 * (right - left);
            ends[row] = write(chart.ctx, theme, mark.label, isNearEnd ? x - 5 : x + 5, top + 14 + 18 * row, { end: isNearEnd });
        }
    }

    const pluginOf = (data, theme) => ({
        id: "hubMarks",
        beforeDatasetsDraw(chart) {
            if (data.kind === "dumbbell") { dumbbells(chart, data, theme); }
            if (!isFlat(data)) { intervals(chart, data, theme); }
        },
        afterDatasetsDraw(chart) {
            referenceLines(chart, data, theme);
            if (!isFlat(data)) { marks(chart, data, theme); }
        },
    });

    return { pluginOf };
})();
