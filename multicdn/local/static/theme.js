// Before the first paint, or a chosen scheme would flash: no module, and loaded in the head.
"use strict";
document.documentElement.dataset.theme = localStorage.getItem("theme") ?? "";
