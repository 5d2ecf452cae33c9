// The gallery: chooses what to show, loads a group's maps, and keeps the choice in the address.
"use strict";
const Gallery = (() => {
  const { element, load } = Elements;
  const FIRST = 6;
  const MOST = 1500; // maps shown at once
  const groups = new Map();
  let form;
  let shown = null; // name of the group whose choices the form offers

  const place = (id) => document.getElementById(id);
  const pruners = (data) => [...new Set(data.rows.map((row) => `${row.axis} ${row.pruner}`))];
  const boxes = () => [...place("pruners").querySelectorAll("input")];
  const asked = () => new URLSearchParams(location.hash.slice(1));

  // Called by a group's file.
  const show = (data) => groups.set(data.name, data);

  const options = (select, choices) =>
    select.replaceChildren(...choices.map(([value, title]) => element("option", { value }, title)));

  // Offers a group's images, methods and pruners; what the address asks for is chosen.
  const offer = (data, wanted) => {
    options(form.image, data.images.map((image) => [image, `number ${image} of the test set`]));
    options(form.cam, [...data.cams.map((cam) => [cam, cam]), ["all", "all of them"]]);
    if (data.images.includes(wanted.get("image"))) form.image.value = wanted.get("image");
    if (["all", ...data.cams].includes(wanted.get("cam"))) form.cam.value = wanted.get("cam");
    const opacity = Number.parseInt(wanted.get("opacity"), 10);
    form.opacity.value = opacity >= 0 && opacity <= 100 ? opacity : 70;
    const names = pruners(data);
    const told = wanted.has("pruner") || wanted.has("none");
    const chosen = told ? new Set(wanted.getAll("pruner")) : new Set(names.slice(0, FIRST));
    place("pruners").replaceChildren(
      ...names.map((name) => {
        const [axis, ...words] = name.split(" ");
        const box = element("input", { type: "checkbox", value: name });
        box.checked = chosen.has(name);
        return element("label", {}, box, ` ${words.join(" ")} `, element("span", { class: "quiet" }, axis));
      }),
    );
    shown = data.name;
  };

  const remember = (data, replace) => {
    const parts = new URLSearchParams({ group: data.name, image: form.image.value, cam: form.cam.value });
    if (form.opacity.value !== "70") parts.set("opacity", form.opacity.value);
    const chosen = boxes().filter((box) => box.checked).map((box) => box.value);
    const usual = pruners(data).slice(0, FIRST);
    if (chosen.length !== usual.length || chosen.some((name, index) => name !== usual[index])) {
      chosen.forEach((name) => parts.append("pruner", name));
      if (!chosen.length) parts.set("none", "1");
    }
    if (`#${parts}` !== location.hash) {
      history[replace ? "replaceState" : "pushState"](null, "", `#${parts}`);
    }
  };

  const fade = () => {
    place("gallery").style.setProperty("--opacity", form.opacity.value / 100);
    form.shown.value = `${form.opacity.value}%`;
  };

  const paint = (data) => {
    const chosen = new Set(boxes().filter((box) => box.checked).map((box) => box.value));
    place("chosen").textContent = `${chosen.size} of ${boxes().length}`;
    const cams = form.cam.value === "all" ? data.cams.length : 1;
    const maps = cams * data.rows.filter((row) => chosen.has(`${row.axis} ${row.pruner}`)).length;
    form.opacity.disabled = !data.photos[form.image.value];
    fade();
    if (maps > MOST) {
      place("gallery").replaceChildren();
      place("state").textContent = `${maps} maps are too many to show at once: choose fewer pruners or one method.`;
      return;
    }
    place("gallery").replaceChildren(
      GalleryTable.build(data, { image: form.image.value, cam: form.cam.value, pruners: chosen }),
    );
    place("state").textContent = [
      `${maps} map${maps === 1 ? "" : "s"} of ${chosen.size} pruner${chosen.size === 1 ? "" : "s"}.`,
      data.withheld ? `Images are not shown: ${data.withheld}. These are maps alone.` : "",
      data.withheld || data.photos[form.image.value] ? "" : "The image was not kept: these are maps alone.",
      `Sp2PS is the mean over ${data.explained} images${data.seeds > 1 ? ` and ${data.seeds} seeds, maps are of seed ${data.seed}` : ""}.`,
      data.left ? `${data.left} more networks of this group have their maps on their rows' pages.` : "",
    ]
      .filter(Boolean)
      .join(" ");
  };

  // Shows what the address asks for; loads the group's file where it is not there yet.
  const restore = async () => {
    const wanted = asked();
    const known = [...form.group.options].map((option) => option.value);
    const name = known.includes(wanted.get("group")) ? wanted.get("group") : known[0];
    form.group.value = name;
    if (!groups.has(name)) {
      place("state").textContent = "Loading the maps …";
      await load(`gallery/${encodeURIComponent(name)}.js`);
    }
    if (form.group.value !== name) return; // another was chosen meanwhile
    const data = groups.get(name);
    if (!data) {
      place("gallery").replaceChildren();
      place("state").textContent = "The maps of this group could not be loaded.";
      return;
    }
    offer(data, wanted);
    paint(data);
  };

  const changed = (event) => {
    if (event.target.id === "find") return;
    if (event.target.name === "group") {
      history.pushState(null, "", `#${new URLSearchParams({ group: form.group.value })}`);
      restore();
      return;
    }
    const data = groups.get(shown);
    if (!data) return;
    const slider = event.target.name === "opacity";
    if (slider) fade();
    else paint(data);
    remember(data, slider);
  };

  const choose = (what) => {
    boxes().forEach((box, index) => {
      const seen = !box.parentElement.hidden;
      if (what === "first") box.checked = index < FIRST;
      else if (seen) box.checked = what === "all";
    });
    const data = groups.get(shown);
    if (data) {
      paint(data);
      remember(data, false);
    }
  };

  const find = (text) => {
    for (const box of boxes()) {
      box.parentElement.hidden = !box.value.toLowerCase().includes(text.trim().toLowerCase());
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    form = place("choices");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", changed);
    form.opacity.addEventListener("input", fade);
    place("find").addEventListener("input", (event) => find(event.target.value));
    for (const button of form.querySelectorAll("[data-choose]")) {
      button.addEventListener("click", () => choose(button.dataset.choose));
    }
    addEventListener("popstate", restore);
    restore();
  });

  return { show };
})();
