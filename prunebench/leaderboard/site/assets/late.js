// Draws figures when they come near the reader's view: a page may have many.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const draw = (place) => {
    if (place.dataset.done) return;
    place.dataset.done = "yes";
    const content = place.querySelector('script[type="application/json"]');
    Plots.draw(place.querySelector(".drawn"), JSON.parse(content.textContent));
  };
  const places = [...document.querySelectorAll("figure.late")];
  const near = new IntersectionObserver(
    (seen) => seen.filter((each) => each.isIntersecting).forEach((each) => draw(each.target)),
    { rootMargin: "800px" },
  );
  places.forEach((place) => near.observe(place));
  addEventListener("beforeprint", () => places.forEach(draw));
});
