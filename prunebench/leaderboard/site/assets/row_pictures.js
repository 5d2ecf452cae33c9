// The pictures of a row's page: maps beside the baseline's, and what the method itself shows.
"use strict";
const RowPictures = (() => {
  const { element } = Elements;

  // Canvases that a slider draws again: [canvas, map, image].
  const tile = (title, under, alt, map, image, redrawn) => {
    const canvas = element("canvas", { role: "img", "aria-label": alt, width: 256, height: 256 });
    const draw = (opacity) =>
      Heatmaps.draw(canvas, map, image, opacity).then((drawn) => {
        canvas.classList.toggle("drawn-map", drawn);
      });
    if (map && image) redrawn.push(draw);
    draw(0.65);
    const caption = element("figcaption", {}, element("b", {}, title), under && element("span", {}, under));
    return element("figure", { class: "heat" }, canvas, caption);
  };

  const slider = (redrawn) => {
    const input = element("input", { type: "range", min: 0, max: 100, value: 65, id: "opacity" });
    input.addEventListener("input", () => redrawn.forEach((draw) => draw(input.value / 100)));
    return element("p", { class: "slider" }, element("label", { for: "opacity" }, "Map over image: "), input);
  };

  const key = () =>
    element(
      "p",
      { class: "quiet scale" },
      "looks least ",
      element("span", { class: "viridis", role: "img", "aria-label": "colours from violet over green to yellow" }),
      " looks most",
    );

  const kept = (row, cam, image) =>
    row?.heatmaps.find((map) => map.cam === cam && map.image === image)?.png ?? null;

  // One line of tiles for each image and method: image, baseline, training alone, this network.
  const lines = (row, baseline, control, redrawn) => {
    const found = [];
    const maps = [row, baseline].flatMap((one) => one?.heatmaps ?? []);
    const images = [...new Set(maps.map((map) => map.image))];
    for (const image of images) {
      const photo = kept(row, null, image) ?? kept(baseline, null, image);
      const cams = [...new Set(maps.filter((map) => map.image === image && map.cam).map((map) => map.cam))];
      const tiles = photo
        ? [tile(`image ${image}`, "", `Test image ${image}`, null, photo, redrawn)]
        : [];
      for (const cam of cams) {
        const line = [];
        const seen = new Set();
        const shown = [
          ["baseline", baseline],
          ["none: fine-tuning only", control],
          [row.role !== "baseline" && row.role !== "control" ? "this network" : row.title, row],
        ];
        for (const [title, other] of shown) {
          const map = kept(other, cam, image);
          if (!map || seen.has(other.id)) continue;
          seen.add(other.id);
          const score = other.role === "baseline" ? "" : `Sp2PS ${other.sp2ps[cam] ?? "–"}`;
          const alt = `${cam} map of ${title} (${other.title}) for test image ${image}; ${
            score ? `mean ${score} over all images` : "the map others are compared with"
          }`;
          line.push(tile(title, score, alt, map, photo, redrawn));
        }
        found.push({ cam, image, tiles: line });
      }
      if (tiles.length) found.unshift({ cam: null, image, tiles });
    }
    return { images, found };
  };

  const heatmaps = (row, baseline, control, redrawn) => {
    const { images, found } = lines(row, baseline, control, redrawn);
    return images.map((image) => {
      const own = found.filter((line) => line.image === image);
      const photo = own.find((line) => line.cam === null);
      const rows = own
        .filter((line) => line.cam !== null)
        .map((line) =>
          element("div", { class: "maps" }, element("h4", {}, line.cam), element("div", { class: "heats" }, line.tiles)),
        );
      return element(
        "div",
        { class: "image" },
        element("div", { class: "photo" }, photo ? photo.tiles : element("p", { class: "quiet" }, `Test image ${image}; it is not shown.`)),
        element("div", { class: "methods" }, rows),
      );
    });
  };

  const moved = (row, redrawn) =>
    row.moved.map((one) => {
      const flipped = one.was !== one.is;
      const said = flipped ? `predicted ${one.was}, now ${one.is}` : `both predict ${one.is}`;
      const tiles = [
        one.png && tile(`image ${one.image}`, "", `Test image ${one.image}`, null, one.png, redrawn),
        tile("before", "", `${one.cam} map of the baseline for test image ${one.image}`, one.before, one.png, redrawn),
        tile(
          "after",
          `Sp2PS ${one.sp2ps}`,
          `${one.cam} map of this network for test image ${one.image}: Sp2PS of this image ${one.sp2ps}`,
          one.after,
          one.png,
          redrawn,
        ),
      ];
      return element(
        "div",
        { class: "maps" },
        element("h4", {}, `${one.cam}, test image ${one.image}: ${said}`),
        element("div", { class: "heats" }, tiles.filter(Boolean)),
      );
    });

  // An image on which this network, whatever the seed, predicts another class than baselines do.
  const changed = (one) => {
    const said = `predicted ${one.was}, now ${one.is}; it is ${one.label}`;
    return tile(`image ${one.image}`, said, `Test image ${one.image}: ${said}`, null, one.png, []);
  };

  // Pictures that the method made of its own work, as they are.
  const own = (row) =>
    row.pictures.map((one) =>
      element(
        "figure",
        { class: "own" },
        element("img", { src: `data:image/png;base64,${one.png}`, alt: `${one.name}, as ${row.pruner_name} drew it` }),
        element("figcaption", {}, one.name),
      ),
    );

  return { heatmaps, moved, changed, own, slider, key };
})();
