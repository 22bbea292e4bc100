// Writes the OpenAPI description of this server as a page.

import { ask } from "./api.js";

const make = (tag, text = "", kind = "") => {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
};

function table(caption, rows) {
  const box = make("div", "", "scroll");
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", caption);
  const made = make("table");
  for (const [head, ...cells] of rows) {
    const row = made.insertRow();
    const first = make("th");
    first.scope = "row";
    first.append(make("code", head));
    row.append(first, ...cells.map((cell) => make("td", cell)));
  }
  box.append(made);
  return box;
}

function kind(schema) {
  const some = (schema.anyOf ?? [schema]).filter((one) => one.type !== "null");
  const names = some.map((one) => (one.enum ?? (one.const ? [one.const] : [one.type])).join(", "));
  const lowest = some[0].minimum ?? some[0].exclusiveMinimum;
  const range = lowest === undefined ? "" : `, from ${lowest}`;
  const usual = schema.default === undefined || schema.default === null ? "" : `; usually ${schema.default}`;
  return names.join(" or ") + range + usual;
}

function section(path, method, operation) {
  const made = make("section");
  const title = make("h2");
  const code = make("code");
  code.append(make("span", method.toUpperCase(), "method"), path);
  title.append(code);
  made.append(title, make("p", operation.description ?? operation.summary));
  const parameters = (operation.parameters ?? []).map(({ name, schema, description }) =>
    [name, description ?? schema.description ?? "", kind(schema)]);
  if (parameters.length) made.append(table(`Parameters of ${method} ${path}`, parameters));
  const line = make("p", "Gives ");
  const kinds = Object.keys(operation.responses["200"].content ?? {});
  line.append(...kinds.flatMap((type, number) => [number ? ", " : "", make("code", type)]), ".");
  made.append(line);
  return made;
}

/** What any of the operations may answer instead. */
function refusals(paths) {
  const responses = Object.values(paths).flatMap((operations) => Object.values(operations)).map((one) => one.responses);
  const rows = new Map(responses.flatMap((one) => Object.entries(one)).map(([status, { description }]) => [status, description]));
  rows.delete("200");
  const made = make("section");
  made.append(make("h2", "Errors"), make("p", "Errors are JSON objects whose field error is one sentence."), table("Errors", [...rows].sort()));
  return made;
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
    Object.entries(operations).map(([method, operation]) => section(path, method, operation))), refusals(paths));
} catch (error) {
  place.replaceChildren(make("p", error.message, "error"));
}
