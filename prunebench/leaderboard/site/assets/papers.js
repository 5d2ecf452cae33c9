// The page of the papers: maps in colour over their image, and a choice of the image.
"use strict";
(() => {
  const { element } = Elements;
  const base64 = (image) => image.src.slice(image.src.indexOf(",") + 1);

  // A grey map becomes one in colour over the table's photo; without a photo, one in colour alone.
  const paint = async (map) => {
    const photo = map.closest("table").querySelector("img.photo");
    const canvas = element("canvas", { role: "img", "aria-label": map.alt });
    const over = photo && (await Heatmaps.draw(canvas, base64(map), base64(photo)));
    const drawn = over || (await Heatmaps.draw(canvas, base64(map), null));
    map.replaceWith(drawn ? canvas : element("span", { class: "nothing" }, `damaged: ${map.alt}`));
  };

  // Shows the chosen image's figures; its maps are painted when they are shown for the first time.
  const show = (place, image) => {
    for (const part of place.querySelectorAll("[data-image]")) {
      part.hidden = image !== null && part.dataset.image !== image;
      if (!part.hidden) part.querySelectorAll("img.heat").forEach(paint);
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const place of document.querySelectorAll(".again")) {
      const form = place.querySelector("form");
      if (form) {
        form.hidden = false;
        form.addEventListener("submit", (event) => event.preventDefault());
        form.addEventListener("change", () => show(place, form.image.value));
      }
      show(place, form && form.image.value);
    }
  });
})();
