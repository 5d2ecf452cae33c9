// The gallery's table: rows of pruners and methods, columns of rising level.
"use strict";
const GalleryTable = (() => {
  const { element, unseen } = Elements;
  const percent = (fraction) => `${+(100 * fraction).toFixed(2)}%`;

  // Columns that are wide enough to hold levels nearly alike, and narrow enough that no pruner has
  // two of its levels in one.
  const columnsOf = (rows) => {
    const width = [0.05, 0.02, 0.01, 0.005, 0.001, 0.0001, 0.000001].find((step) => {
      const taken = new Set(rows.map((row) => `${row.axis} ${row.pruner} ${Math.round(row.at / step)}`));
      return taken.size === rows.length;
    });
    const step = width ?? 0.000001;
    const place = (row) => Math.round(row.at / step);
    return { place, all: [...new Set(rows.map(place))].sort((a, b) => a - b) };
  };

  // The levels of a column: one, or from the least to the most.
  const heading = (rows) => {
    const levels = rows.map((row) => row.at);
    const [least, most] = [Math.min(...levels), Math.max(...levels)].map(percent);
    return least === most ? least : `${least} to ${most}`;
  };

  const nothing = (why) => element("span", { class: "nothing" }, why);

  const picture = (photo, image) =>
    element(
      "td",
      {},
      element(
        "span",
        { class: "stack plain" },
        element("img", { src: `data:image/png;base64,${photo}`, alt: `image ${image} of the test set` }),
      ),
    );

  // One map over its image, with its numbers. `data` is the group's, `chosen` what is asked for.
  const tile = (row, cam, data, chosen) => {
    const map = row.maps[`${chosen.image} ${cam}`];
    const photo = data.photos[chosen.image];
    const sp2ps = row.sp2ps[cam];
    const accuracy = row.accuracy === null ? null : `${(100 * row.accuracy).toFixed(1)}%`;
    const numbers = [
      sp2ps === undefined ? null : `Sp2PS ${sp2ps.toFixed(3)}`,
      accuracy && `accuracy ${accuracy}`,
    ].filter(Boolean);
    const what = `${cam} of ${row.pruner} ${row.level}, image ${chosen.image}: ${numbers.join(", ") || "no numbers"}`;
    const stack = element("span", { class: "stack", role: "img", "aria-label": map ? what : `no map: ${what}` });
    if (photo) {
      stack.append(element("img", { src: `data:image/png;base64,${photo}`, alt: "" }));
    }
    if (map) {
      const canvas = element("canvas", { class: photo ? "over" : "alone", "aria-hidden": "true" });
      stack.append(canvas);
      Heatmaps.draw(canvas, map, null, 1).then((drawn) => drawn || canvas.replaceWith(nothing("damaged")));
    } else {
      stack.append(nothing("no map kept"));
    }
    return element(
      "div",
      { class: "tile" },
      element("a", { href: row.link, title: what }, stack),
      element("span", { class: "level" }, row.level && percent(row.at)),
      element("span", { class: "sp2ps" }, sp2ps === undefined ? "–" : sp2ps.toFixed(3), unseen(" Sp2PS")),
      element("span", { class: "accuracy" }, accuracy ?? "–", unseen(" accuracy")),
    );
  };

  const build = (data, chosen) => {
    const rows = data.rows.filter((row) => chosen.pruners.has(`${row.axis} ${row.pruner}`));
    const cams = chosen.cam === "all" ? data.cams : [chosen.cam];
    const { place, all } = columnsOf(rows);
    const photo = data.photos[chosen.image];
    const lines = new Map();
    for (const row of rows) {
      const name = `${row.axis} ${row.pruner}`;
      lines.set(name, [...(lines.get(name) ?? []), row]);
    }
    const head = element(
      "tr",
      {},
      element("th", { scope: "col" }, "Pruner"),
      photo ? element("th", { scope: "col" }, "image") : null,
      data.references.map((row) => element("th", { scope: "col" }, row.pruner)),
      all.map((at) => element("th", { scope: "col" }, heading(rows.filter((row) => place(row) === at)))),
    );
    const body = element("tbody");
    const named = lines.size ? [...lines.values()] : [[]];
    for (const levels of named) {
      for (const cam of cams) {
        const line = element(
          "tr",
          {},
          element(
            "th",
            { scope: "row" },
            levels.length ? levels[0].pruner : "references",
            element("span", { class: "quiet" }, levels.length ? `${levels[0].axis}, ${cam}` : cam),
          ),
          photo ? picture(photo, chosen.image) : null,
          data.references.map((row) => element("td", {}, tile(row, cam, data, chosen))),
          all.map((at) =>
            element(
              "td",
              {},
              levels.filter((row) => place(row) === at).map((row) => tile(row, cam, data, chosen)),
            ),
          ),
        );
        body.append(line);
      }
    }
    const caption = element(
      "caption",
      {},
      "Under each map: the level, mean Sp2PS and accuracy of the network. A map leads to its row.",
    );
    return element("table", { class: "gallery" }, caption, element("thead", {}, head), body);
  };

  return { build };
})();
