const box = document.getElementById("search"), hits = document.getElementById("found");
box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  hits.replaceChildren();
  if (!words.length) return;
  const pages = COURSE.filter(([, , text]) => words.every((w) => text.toLowerCase().includes(w)));
  const list = document.createElement("ul");
  for (const [address, title, text] of pages.slice(0, 12)) {
    const item = document.createElement("li"), link = document.createElement("a");
    const from = Math.max(0, text.toLowerCase().indexOf(words[0]) - 40);
    link.href = address;
    link.textContent = title;
    item.append(link, " … " + text.slice(from, from + 120) + " …");
    list.append(item);
  }
  hits.append(pages.length ? list : "Nothing found.");
});

const unfold = document.getElementById("zh");
if (unfold) {
  const texts = [...document.querySelectorAll("details.zh")];
  const all = (open) => {
    texts.forEach((text) => { text.open = open; });
    document.body.classList.toggle("chinese", open);  // shows the titles of figures
  };
  unfold.addEventListener("click", () => all(!texts.every((text) => text.open)));
  if (location.hash === "#zh") all(true);
}
