// Writes the OpenAPI description of this server as a page.

import { ask } from "./api.js";

const make = (tag, text = "", kind = "") => {
  const node = document.createElement(tag);
  node.textContent = text;
  if (kind) node.className = kind;
  return node;
};

function table(caption, rows) {
  const box = make("div", "", "scroll");
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", caption);
  const grid = make("table");
  for (const [head, ...cells] of rows) {
    const row = grid.insertRow();
    const first = make("th");
    first.scope = "row";
    first.append(make("code", head));
    row.append(first, ...cells.map((cell) => make("td", cell)));
  }
  box.append(grid);
  return box;
}

function kind(schema) {
  const types = (schema.anyOf ?? [schema]).filter((type) => type.type !== "null");
  const names = types.map((type) => (type.enum ?? (type.const ? [type.const] : [type.type])).join(", "));
  const lowest = types[0].minimum ?? types[0].exclusiveMinimum;
  const range = lowest === undefined ? "" : `, from ${lowest}`;
  const usual = schema.default === undefined || schema.default === null ? "" : `; default ${schema.default}`;
  return names.join(" or ") + range + usual;
}

function section(path, method, operation) {
  const node = make("section");
  const title = make("h2");
  const code = make("code");
  code.append(make("span", method.toUpperCase(), "method"), path);
  title.append(code);
  node.append(title, make("p", operation.description ?? operation.summary));
  const parameters = (operation.parameters ?? []).map(({ name, schema, description }) =>
    [name, description ?? schema.description ?? "", kind(schema)]);
  if (parameters.length) node.append(table(`Parameters of ${method} ${path}`, parameters));
  const line = make("p", "Answer: ");
  const kinds = Object.keys(operation.responses["200"].content ?? {});
  line.append(...kinds.flatMap((type, number) => [number ? ", " : "", make("code", type)]), ".");
  node.append(line);
  return node;
}

/** The errors of all operations, as one table. */
function errorSection(paths) {
  const responses = Object.values(paths).flatMap((operations) => Object.values(operations)).map((one) => one.responses);
  const rows = new Map(responses.flatMap((one) => Object.entries(one)).map(([status, { description }]) => [status, description]));
  rows.delete("200");
  const node = make("section");
  node.append(make("h2", "Errors"), make("p", "Errors are JSON objects whose field error is one sentence."), table("Errors", [...rows].sort()));
  return node;
}

const here = new URL(".", location.href).href;
document.getElementById("example").textContent = [
  `curl --data-binary @photo.jpg '${here}encode?target_size=5000' > photo.calo`,
  `curl --data-binary @photo.calo ${here}info`,
  `curl --data-binary @photo.calo ${here}decode > photo.png`,
].join("\n");

const place = document.getElementById("operations");
try {
  const { paths } = await ask("openapi.json");
  place.replaceChildren(...Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => section(path, method, operation))), errorSection(paths));
} catch (error) {
  place.replaceChildren(make("p", error.message, "error"));
}
