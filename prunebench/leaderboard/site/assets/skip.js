// Skipping to the content leaves the address alone: what follows its # is the page's own state.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const main = document.getElementById("main");
  document.querySelector("a.skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.tabIndex = -1;
    main.focus();
  });
});
