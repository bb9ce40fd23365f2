/* The page that makes a feature set: a button of a feature adds it to the list, if it is not there. */
(function () {
    "use strict";
    document.addEventListener("click", (event) => {
        const button = event.target.closest("[data-feature]");
        const list = document.getElementById("id_features");
        if (!button || !list) { return; }
        const names = list.value.split(/[\s,]+/).filter(Boolean);
        if (!names.includes(button.dataset.feature)) { names.push(button.dataset.feature); }
        list.value = `${names.join("\n")}\n`;
        list.scrollTop = list.scrollHeight;
    });
})();
