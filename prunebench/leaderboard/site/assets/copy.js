// Buttons that copy the text of the element which they name.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    Elements.copying(button, () => document.getElementById(button.dataset.copy).textContent);
  }
});
