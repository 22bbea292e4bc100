"use strict";

// Every pane's picture is moved by --x, --y (in picture widths and heights) and --zoom of the stage.
class Viewer {
  constructor(root) {
    this.stage = root.querySelector(".stage");
    this.panes = root.querySelector(".panes");
    this.controls = Object.fromEntries([...root.querySelectorAll("[data-control]")].map((e) => [e.dataset.control, e]));
    this.columns = [];
    this.at = { x: 0, y: 0, zoom: 1 };
    this.cut = 50;
    this.view = "divider";
    this.marks = false;
    this.pointers = new Map();
    this.listen();
  }

  // columns: [{id, label, note, src, marked, alt, coarse} | {id, label, why}]; "marked" is the picture with
  // stripes where it is uncertain
  show(columns, ratio) {
    const { left, right } = this.controls;
    const kept = [left.value, right.value];
    this.columns = columns.filter((column) => column.src);
    this.absent = columns.filter((column) => !column.src);
    for (const select of [left, right]) {
      select.replaceChildren(...this.columns.map((column) => new Option(column.label, column.id)));
    }
    const has = (id) => this.columns.some((column) => column.id === id);
    left.value = has(kept[0]) ? kept[0] : this.columns[0].id;
    right.value = has(kept[1]) ? kept[1] : this.columns[Math.min(1, this.columns.length - 1)].id;
    this.stage.style.setProperty("--ratio", ratio);
    this.controls.marks.hidden = !this.columns.some((column) => column.marked);
    this.render();
  }

  column(side) {
    return this.columns.find((column) => column.id === this.controls[side].value);
  }

  render() {
    const pair = [this.column("left"), this.column("right")];
    this.stage.dataset.view = this.view;
    for (const element of document.querySelectorAll("[data-for]")) {
      element.hidden = !element.dataset.for.split(" ").includes(this.view);
    }
    if (this.view === "grid") {
      this.panes.replaceChildren(...this.columns.map((c) => pane(c, this.marks)), ...this.absent.map(missing));
    } else if (this.view === "difference") {
      const [below, above] = [pane(pair[0], this.marks), pane(pair[1], this.marks)];
      const mix = tag("div", "mix");
      const over = above.querySelector("img");
      const wrap = tag("div", "over");
      const frame = below.querySelector(".window");
      wrap.append(over);
      mix.append(frame.firstChild, wrap);
      frame.append(mix);
      above.querySelector(".window").remove();
      this.panes.replaceChildren(below, above);
    } else {
      const track = tag("div", "track");
      track.append(this.makeDivider(pair));
      this.panes.replaceChildren(pane(pair[0], this.marks), track, pane(pair[1], this.marks));
    }
    this.move(this.at);
  }

  makeDivider([left, right]) {
    const divider = tag("div", "divider");
    divider.tabIndex = 0;
    divider.setAttribute("role", "slider");
    divider.setAttribute("aria-label", `Divider: ${left.label} on its left, ${right.label} on its right`);
    divider.setAttribute("aria-valuemin", 0);
    divider.setAttribute("aria-valuemax", 100);
    divider.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 10 : 2;
      const to = { ArrowLeft: this.cut - step, ArrowRight: this.cut + step, ArrowDown: this.cut - step,
        ArrowUp: this.cut + step, PageDown: this.cut - 10, PageUp: this.cut + 10, Home: 0, End: 100 }[event.key];
      if (to === undefined) return;
      this.setCut(to);
      event.preventDefault();
      event.stopPropagation();
    });
    divider.addEventListener("pointerdown", (event) => {
      divider.setPointerCapture(event.pointerId);
      event.stopPropagation();
      const box = divider.parentElement.getBoundingClientRect();
      divider.onpointermove = (e) => this.setCut(((e.clientX - box.left) / box.width) * 100);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      divider.addEventListener(end, () => { divider.onpointermove = null; });
    }
    this.divider = divider;
    this.setCut(this.cut);
    return divider;
  }

  setCut(percent) {
    this.cut = Math.min(100, Math.max(0, percent));
    this.stage.style.setProperty("--cut", `${this.cut}%`);
    this.divider?.setAttribute("aria-valuenow", Math.round(this.cut));
    this.divider?.setAttribute("aria-valuetext", `${Math.round(this.cut)} %`);
  }

  move({ x, y, zoom }) {
    zoom = Math.min(32, Math.max(1, zoom));
    const within = (v) => Math.min(0, Math.max(1 - zoom, v));
    this.at = { x: within(x), y: within(y), zoom };
    for (const [name, value] of Object.entries(this.at)) this.stage.style.setProperty(`--${name}`, value);
    const window = this.panes.querySelector(".window");
    const scale = this.columns.length ? (zoom * window.clientWidth * devicePixelRatio) / this.columns[0].width : 1;
    this.stage.classList.toggle("zoomed", zoom > 1);
    this.stage.classList.toggle("close", scale > 2.5);
    this.controls.scale.textContent = `${Math.round(scale * 100)} %`;
  }

  // (fx, fy): the point of the pane, in fractions of it, that stays where it is.
  zoomBy(factor, fx = 0.5, fy = 0.5) {
    const { x, y, zoom } = this.at;
    const to = Math.min(32, Math.max(1, zoom * factor));
    this.move({ x: fx - ((fx - x) / zoom) * to, y: fy - ((fy - y) / zoom) * to, zoom: to });
  }

  actualSize() {
    const width = this.panes.querySelector(".window").clientWidth * devicePixelRatio;
    this.zoomBy(this.columns[0].width / width / this.at.zoom);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { x, y, zoom } = this.at;
    const action = {
      "+": () => this.zoomBy(1.5), "=": () => this.zoomBy(1.5), "-": () => this.zoomBy(1 / 1.5),
      0: () => this.move({ x: 0, y: 0, zoom: 1 }), 1: () => this.actualSize(),
      ArrowLeft: () => this.move({ x: x + 0.1, y, zoom }), ArrowRight: () => this.move({ x: x - 0.1, y, zoom }),
      ArrowUp: () => this.move({ x, y: y + 0.1, zoom }), ArrowDown: () => this.move({ x, y: y - 0.1, zoom }),
    }[event.key];
    if (!action || (zoom === 1 && event.key.startsWith("Arrow"))) return;
    action();
    event.preventDefault();
  }

  listen() {
    const c = this.controls;
    for (const side of [c.left, c.right]) side.addEventListener("change", () => this.render());
    c.swap.addEventListener("click", () => {
      [c.left.value, c.right.value] = [c.right.value, c.left.value];
      this.render();
    });
    c.marks.addEventListener("click", () => {
      this.marks = !this.marks;
      c.marks.setAttribute("aria-pressed", this.marks);
      document.getElementById("marks-about").hidden = !this.marks;
      this.render();
    });
    c.closer.addEventListener("click", () => this.zoomBy(1.5));
    c.farther.addEventListener("click", () => this.zoomBy(1 / 1.5));
    c.fit.addEventListener("click", () => this.move({ x: 0, y: 0, zoom: 1 }));
    c.actual.addEventListener("click", () => this.actualSize());
    c.gain.addEventListener("input", () => {
      this.stage.style.setProperty("--gain", c.gain.value);
      c.times.textContent = `× ${c.gain.value}`;
    });
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("dblclick", (event) => this.zoomBy(2, ...this.fraction(event)));
    this.stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // plain scrolling is the page's
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 200), ...this.fraction(event));
    }, { passive: false });
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button || !event.target.closest(".window, .track")) return;
      this.pointers.set(event.pointerId, event);
      this.stage.classList.add("moving");
    });
    addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      addEventListener(end, (event) => {
        this.pointers.delete(event.pointerId);
        if (!this.pointers.size) this.stage.classList.remove("moving");
      });
    }
    addEventListener("resize", () => this.move(this.at));
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const box = this.panes.querySelector(".window").getBoundingClientRect();
    const others = [...this.pointers.values()].filter((p) => p.pointerId !== event.pointerId);
    if (others.length) {
      const gap = (p) => Math.hypot(p.clientX - others[0].clientX, p.clientY - others[0].clientY);
      const middle = { clientX: (event.clientX + others[0].clientX) / 2, clientY: (event.clientY + others[0].clientY) / 2 };
      this.zoomBy(gap(event) / Math.max(gap(before), 1), ...this.fraction({ ...middle, target: before.target }));
    } else {
      const { x, y, zoom } = this.at;
      const by = { x: (event.clientX - before.clientX) / box.width, y: (event.clientY - before.clientY) / box.height };
      this.move({ x: x + by.x, y: y + by.y, zoom });
    }
    this.pointers.set(event.pointerId, event);
  }

  fraction(event) {
    const window = event.target.closest(".window") ?? this.panes.querySelector(".window");
    const box = window.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }
}

function tag(name, className, text = "") {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

function captioned(label, note) {
  const caption = document.createElement("figcaption");
  caption.append(tag("b", "", label), document.createElement("br"), tag("small", "", note));
  return caption;
}

function pane(column, marks) {
  const figure = tag("figure", "pane");
  const window = tag("div", "window");
  const image = tag("img", column.coarse ? "coarse" : "");
  const marked = marks && column.marked;
  const alt = column.alt + (marked ? ", with stripes where it is uncertain" : "");
  Object.assign(image, { src: marked || column.src, alt, draggable: false });
  window.append(image);
  figure.append(window, captioned(column.label, column.note));
  return figure;
}

function missing(column) {
  const figure = tag("figure", "pane missing");
  figure.append(tag("div", "window", column.why), captioned(column.label, "not made"));
  return figure;
}
