// Draws explanation maps: a grey PNG in the colours of viridis, alone or over its image.
"use strict";
const Heatmaps = (() => {
  // Seventeen of viridis's colours, evenly spaced (S. van der Walt, N. Smith; CC0).
  const STOPS = [
    "#440154", "#48186a", "#472d7b", "#424086", "#3b528b", "#33638d", "#2c728e", "#26828e", "#21918c",
    "#1f9f88", "#27ad81", "#3dbc74", "#5cc863", "#81d34d", "#aadc32", "#d5e21a", "#fde725",
  ].map((stop) => [1, 3, 5].map((at) => Number.parseInt(stop.slice(at, at + 2), 16)));
  const TABLE = Array.from({ length: 256 }, (_, grey) => {
    const place = (grey / 255) * (STOPS.length - 1);
    const below = Math.min(Math.floor(place), STOPS.length - 2);
    return STOPS[below].map((from, at) =>
      Math.round(from + (STOPS[below + 1][at] - from) * (place - below)),
    );
  });
  const SIDE = 256; // pixels of the longer side of what is drawn
  const pictures = new Map(); // by their base64 text

  const picture = (png) => {
    if (!pictures.has(png)) {
      const image = new Image();
      image.src = `data:image/png;base64,${png}`;
      pictures.set(png, image.decode().then(() => image));
    }
    return pictures.get(png);
  };

  const surface = (width, height) => {
    const made = document.createElement("canvas");
    made.width = width;
    made.height = height;
    return made;
  };

  const coloured = (image) => {
    const made = surface(image.naturalWidth, image.naturalHeight);
    const pen = made.getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, 0, 0);
    const pixels = pen.getImageData(0, 0, made.width, made.height);
    for (let at = 0; at < pixels.data.length; at += 4) {
      pixels.data.set(TABLE[pixels.data[at]], at);
    }
    pen.putImageData(pixels, 0, 0);
    return made;
  };

  // Draws into a canvas. `map` and `image` are base64 PNG, either may be null; the image turns grey
  // under a map. `opacity` of the map is in [0, 1]. Resolves to whether both could be drawn.
  const draw = async (canvas, map, image, opacity = 0.65) => {
    const asked = `${Number(canvas.dataset.asked ?? 0) + 1}`;
    canvas.dataset.asked = asked;
    let below = null;
    let above = null;
    try {
      below = image ? await picture(image) : null;
      above = map ? await picture(map) : null;
    } catch {
      return false;
    }
    if (canvas.dataset.asked !== asked || !(above || below)) {
      return false; // something else is to be drawn by now
    }
    const { naturalWidth: width, naturalHeight: height } = below ?? above;
    const scale = SIDE / Math.max(width, height);
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    if (below) {
      pen.filter = above ? "grayscale(1)" : "none";
      pen.drawImage(below, 0, 0, canvas.width, canvas.height);
      pen.filter = "none";
    }
    if (above) {
      pen.globalAlpha = below ? opacity : 1;
      pen.drawImage(coloured(above), 0, 0, canvas.width, canvas.height);
      pen.globalAlpha = 1;
    }
    return true;
  };

  return { draw };
})();
