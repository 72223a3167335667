// Widgets without a kernel: choices above a picture, and the pictures that were drawn beforehand.

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function control(choice, spoken, changed) {
  const both = (name) => name in spoken ? name + " " + spoken[name] : name;
  const label = document.createElement("label");
  const slide = choice.options.length > 8 && choice.options.every((name) => !isNaN(name));
  const input = document.createElement(slide ? "input" : "select");
  const shown = document.createElement("output");
  if (slide) {
    Object.assign(input, { type: "range", min: 0, max: choice.options.length - 1 });
  } else {
    choice.options.forEach((name, place) => input.add(new Option(both(name), place)));
  }
  const tell = () => { if (slide) shown.textContent = choice.options[input.value]; };
  const set = (place) => { input.value = place; tell(); };
  input.setAttribute("aria-label", both(choice.name));
  input.addEventListener("input", () => { tell(); changed(choice); });
  label.append(both(choice.name) + " ", input, shown);
  set(choice.start);
  return { label, choice, set, place: () => Number(input.value) };
}

async function play(box) {
  const { choices, pictures } = JSON.parse(box.querySelector("script").textContent);
  const { names, titles } = JSON.parse(box.querySelector("script[lang=zh]").textContent);
  const drawn = await unpacked(pictures), image = box.querySelector("img");
  const key = () => controls.map((each) => each.place()).join(",");
  const show = (moved) => {
    if (!drawn[key()]) {
      controls.filter((each) => each.choice !== moved).forEach((each) => each.set(each.choice.start));
    }
    const picture = drawn[key()];
    image.src = picture.png ? "data:image/png;base64," + picture.png
      : "data:image/svg+xml;charset=utf-8," + encodeURIComponent(picture.svg);
    image.alt = picture.alt;
    box.querySelector(".title").textContent = titles[key()] || "";
  };
  const controls = choices.map((choice) => control(choice, names, show));
  box.prepend(...controls.map((each) => each.label));
}

document.querySelectorAll(".play").forEach(play);
