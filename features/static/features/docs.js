// Gives the parts of Swagger UI that stand outside its <main> names of their own, and its headings their level.
(() => {
    "use strict";
    const PARTS = {
        ".information-container": { role: "banner" },
        ".scheme-container": { role: "region", "aria-label": "Authorization" },
        "#servers": { "aria-label": "Server" },
        ".models": { role: "region", "aria-label": "Schemas" },
        "h3.opblock-tag, .models > h4": { "aria-level": "2" },
    };

    const name = () => {
        for (const [selector, attributes] of Object.entries(PARTS)) {
            for (const part of document.querySelectorAll(selector)) {
                for (const [attribute, value] of Object.entries(attributes)) {
                    if (part.getAttribute(attribute) !== value) part.setAttribute(attribute, value);
                }
            }
        }
    };

    new MutationObserver(name).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });
})();
