// Draws figures in the page's colours; drawn again when these change.
"use strict";
const Plots = (() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = () => ({
    automargin: true,
    gridcolor: colour("--line"),
    linecolor: colour("--line"),
    zerolinecolor: colour("--line"),
  });

  const themed = (layout) => {
    const own = { ...layout };
    for (const name of Object.keys(own).filter((key) => /^[xy]axis/.test(key))) {
      own[name] = { ...axis(), ...own[name] };
    }
    return {
      margin: { l: 56, r: 16, t: 32, b: 48 },
      legend: { orientation: "h", y: -0.25 },
      hoverlabel: { bgcolor: colour("--raised"), font: { color: colour("--text") } },
      ...own,
      font: { color: colour("--text"), family: "system-ui, sans-serif", size: 13 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
    };
  };

  // What is drawn, by its element; what the page no longer has is let go.
  const figures = new Map();
  const tidy = () => {
    for (const element of figures.keys()) {
      if (!element.isConnected) {
        figures.delete(element);
        Plotly.purge(element);
      }
    }
  };
  document.addEventListener("themechange", () => {
    tidy();
    figures.forEach((again) => again());
  });

  // Draws into an element; `alt` says in words what the figure shows.
  const draw = (element, figure, alt) => {
    tidy();
    // Not an image: its tool bar has buttons. For those who hear the page the label says it all.
    element.setAttribute("role", "figure");
    if (alt) {
      element.setAttribute("aria-label", alt);
    }
    const options = { responsive: true, displaylogo: false, displayModeBar: "hover" };
    const again = async () => {
      const width = element.clientWidth;
      await Plotly.react(element, figure.data, themed(figure.layout), options);
      // The window may have changed while it was drawn, before plotly.js looked for that.
      if (element.isConnected && element.clientWidth !== width) {
        await Plotly.Plots.resize(element);
      }
      element.querySelectorAll("svg").forEach((one) => one.setAttribute("aria-hidden", "true"));
    };
    figures.set(element, again);
    return again();
  };

  // Figures of the page are drawn when they come near the reader's view: there may be many.
  document.addEventListener("DOMContentLoaded", () => {
    const waiting = new Set(document.querySelectorAll("figure.plot"));
    const drawOnce = (place) => {
      if (waiting.delete(place)) {
        const content = place.querySelector('script[type="application/json"]');
        draw(place.querySelector(".drawn"), JSON.parse(content.textContent));
      }
    };
    const near = new IntersectionObserver(
      (seen) => seen.filter((each) => each.isIntersecting).forEach((each) => drawOnce(each.target)),
      { rootMargin: "800px" },
    );
    waiting.forEach((place) => near.observe(place));
    addEventListener("beforeprint", () => [...waiting].forEach(drawOnce));
  });

  return { draw };
})();
