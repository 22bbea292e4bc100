"use strict";

{
  const { pictures } = JSON.parse(document.getElementById("data").textContent);
  const viewer = new Viewer(document.getElementById("viewer"));
  const chosen = (name) => Number(document.querySelector(`input[name="${name}"]:checked`).value);
  let first = true;

  const update = () => {
    const picture = pictures[chosen("picture")];
    viewer.show([...picture.sizes[chosen("size")], ...(picture.opened ?? [])], picture.ratio);
    for (const section of document.querySelectorAll("[data-picture]")) {
      section.hidden = Number(section.dataset.picture) !== chosen("picture");
    }
    if (first) document.getElementById("viewer").hidden = first = false;
    viewer.move(viewer.at);
  };
  for (const input of document.querySelectorAll('input[name="picture"], input[name="size"]')) {
    input.addEventListener("change", update);
  }
  for (const input of document.querySelectorAll('input[name="view"]')) {
    input.addEventListener("change", () => {
      viewer.view = input.value;
      viewer.render();
    });
  }
  update();
  new Opener(document.getElementById("viewer"), {
    size: () => {
      const { width } = viewer.columns[0];
      return [width, Math.round(width / pictures[chosen("picture")].ratio)];
    },
    add: (column) => {
      (pictures[chosen("picture")].opened ??= []).push(column);
      update();
      viewer.controls.right.value = column.id;
      viewer.render();
    },
  });
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const falling = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const value = (row) => row.cells[head.cellIndex].dataset.value;
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [u, v] = [value(a), value(b)];
        if (u === "" || v === "") return (u === "") - (v === ""); // what is missing comes last, always
        const order = isNaN(u) || isNaN(v) ? u.localeCompare(v) : u - v;
        return falling ? -order : order;
      });
      table.tBodies[0].append(...rows);
    });
  }
}
