"""The script on the page: reads a plot under the pointer, and opens folds that are pointed at.

Everything on the page can be read without it. It reaches nothing but the page (the content
security policy sees to that), writes text only as text, and is kept as a constant because this
room does no input or output.
"""

SCRIPT = """\
"use strict";
(() => {
  const readouts = JSON.parse(document.getElementById("readouts").textContent);

  const make = (name, kind, text) => {
    const node = document.createElement(name);
    node.className = kind;
    if (text !== undefined) node.textContent = text;
    return node;
  };

  const nearest = (places, place) => {
    let low = 0, high = places.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (places[middle] < place) low = middle; else high = middle;
    }
    return place - places[low] < places[high] - place ? low : high;
  };

  const fill = (box, readout, column) => {
    box.replaceChildren(make("div", "readout-at", readout.at[column]));
    for (const series of readout.series) {
      if (!series.values[column]) continue;
      const row = make("div", "readout-row");
      row.append(make("i", "readout-swatch " + series.role),
                 make("span", "readout-name", series.name),
                 make("b", "readout-value", series.values[column]));
      box.append(row);
    }
  };

  for (const plot of document.querySelectorAll("[data-readout]")) {
    const readout = readouts[plot.dataset.readout];
    if (!readout || !readout.x.length) continue;
    const box = make("div", "readout");
    box.hidden = true;
    plot.append(box);
    const hide = () => {
      box.hidden = true;
      plot.classList.remove("reading");
    };
    const show = (event) => {
      const drawing = event.target.closest("svg.drawing");
      if (!drawing) return hide();
      const frame = drawing.getBoundingClientRect();
      const scale = drawing.viewBox.baseVal.width / frame.width;
      const left = Number(drawing.dataset.left), right = Number(drawing.dataset.right);
      const place = ((event.clientX - frame.left) * scale - left) / (right - left) * 10000;
      if (place < -150 || place > 10150) return hide();
      const column = nearest(readout.x, place);
      const at = left + readout.x[column] / 10000 * (right - left);
      const cursor = drawing.querySelector(".cursor");
      cursor.setAttribute("x1", at);
      cursor.setAttribute("x2", at);
      plot.classList.add("reading");
      fill(box, readout, column);
      box.hidden = false;
      const around = plot.getBoundingClientRect();
      const pixel = frame.left - around.left + at / scale;
      const leftwards = pixel + 16 + box.offsetWidth > around.width;
      const beside = leftwards ? pixel - 16 - box.offsetWidth : pixel + 16;
      box.style.left = Math.max(0, beside) + "px";
      box.style.top = frame.top - around.top + 34 + "px";
    };
    plot.addEventListener("pointermove", show);
    plot.addEventListener("pointerdown", show);
    plot.addEventListener("pointerleave", hide);
  }

  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) {
      fold.open = true;
    }
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const fold of closed) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of closed) fold.open = false;
  });
})();
"""
