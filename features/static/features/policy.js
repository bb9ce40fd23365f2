// The Content-Security-Policy allows no inline styles. Scripts may set the same by the properties of an element.
(() => {
    // htmx would write a style element, and evaluate the text of attributes; nothing here uses either.
    htmx.config.includeIndicatorStyles = false;
    htmx.config.allowEval = false;

    // Parts that scroll are landmarks, which need names of their own.
    window.addEventListener("load", () => {
        document.querySelectorAll(".simplebar-content-wrapper").forEach((part, index) => {
            part.setAttribute("aria-label", `scrollable content ${index + 1}`);
        });
    });

    // Alpine sets a style given as a text by the attribute, and one given as an object by properties.
    document.addEventListener("alpine:init", () => {
        const actions = document.getElementById("changelist-actions");
        actions?.setAttribute("x-bind:style", "({ width: changeListWidth + 'px' })");
    });
})();
