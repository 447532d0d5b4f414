// The map of a table: uPlot draws it, and this file gives it its dots, names, zoom and keys.
(() => {
  "use strict";

  // The colours of sql/queries/map.sql, but for the grey, which stands for all other values. They differ on white and on black.
  const PALETTE = ["#4269d0", "#d99000", "#ff725c", "#45a896", "#3ca951", "#e8679e", "#a463f2", "#5f97e8", "#9c6b4e"];
  const GREY = "#8b8f97";
  const RADIUS = 4;
  const NEAR = 14; // pixels from a dot in which the pointer means it
  const STEP = 1.4; // how much one step of the zoom is

  const place = document.getElementById("map");
  const told = document.getElementById("row");
  const ratio = window.devicePixelRatio || 1;

  const colour = (group) => PALETTE[group] || GREY;

  function start(data) {
    const order = data.x.map((_, at) => at);
    const groups = data.labels.map((_, group) => order.filter((at) => data.group[at] === group));
    const hidden = new Set();
    let chosen = -1;

    const whole = { x: span(data.x), y: span(data.y) };

    function span(values) {
      let low = Infinity, high = -Infinity;
      for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
      if (!(low <= high)) return [-1, 1];
      const edge = Math.max((high - low) * 0.05, 1e-6);
      return [low - edge, high + edge];
    }

    // A dot for each row of a group that is in view.
    function dots(plot, series) {
      const { ctx } = plot;
      const { left, top, width, height } = plot.bbox;
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, top, width, height);
      ctx.clip();
      ctx.fillStyle = colour(series - 1);
      ctx.globalAlpha = 0.85;
      for (const at of groups[series - 1]) {
        const x = plot.valToPos(data.x[at], "x", true), y = plot.valToPos(data.y[at], "y", true);
        if (x < left - 9 || x > left + width + 9 || y < top - 9 || y > top + height + 9) continue;
        ctx.beginPath();
        ctx.arc(x, y, RADIUS * ratio, 0, 2 * Math.PI);
        ctx.fill();
      }
      ctx.restore();
      return null;
    }

    function ring(plot) {
      if (chosen < 0) return;
      const { ctx } = plot;
      ctx.save();
      ctx.strokeStyle = getComputedStyle(place).color;
      ctx.lineWidth = 2 * ratio;
      ctx.beginPath();
      ctx.arc(plot.valToPos(data.x[chosen], "x", true), plot.valToPos(data.y[chosen], "y", true), (RADIUS + 3) * ratio, 0, 2 * Math.PI);
      ctx.stroke();
      ctx.restore();
    }

    const label = document.createElement("div");
    label.className = "name";
    label.hidden = true;

    const plot = new uPlot({
      mode: 2,
      width: place.clientWidth,
      height: place.clientHeight,
      padding: [8, 8, 8, 8],
      legend: { show: false },
      cursor: { show: false },
      axes: [{ show: false }, { show: false }],
      scales: { x: { time: false, range: (_, low, high) => [low, high] }, y: { range: (_, low, high) => [low, high] } },
      series: [{}, ...groups.map(() => ({ facets: [{ scale: "x", auto: false }, { scale: "y", auto: false }], paths: dots }))],
      hooks: { draw: [ring, put] },
    }, [null, ...groups.map((rows) => [rows.map((at) => data.x[at]), rows.map((at) => data.y[at])])], place);

    plot.over.append(label);

    let view = whole;
    const show = (next) => {
      view = next;
      plot.batch(() => {
        plot.setScale("x", { min: view.x[0], max: view.x[1] });
        plot.setScale("y", { min: view.y[0], max: view.y[1] });
      });
    };

    // Around a point, in shares of the view from its left and lower edge.
    const zoom = (by, across = 0.5, up = 0.5) => {
      const closer = ([low, high], share) => {
        const about = low + (high - low) * share;
        return [about - (about - low) / by, about + (high - about) / by];
      };
      const size = (view.x[1] - view.x[0]) / (whole.x[1] - whole.x[0]) / by;
      if (size > 4 || size < 1e-5) return;
      show({ x: closer(view.x, across), y: closer(view.y, up) });
    };
    const move = (across, up) => {
      const wide = (view.x[1] - view.x[0]) * across, high = (view.y[1] - view.y[0]) * up;
      show({ x: view.x.map((value) => value + wide), y: view.y.map((value) => value + high) });
    };

    const likeAddress = (at) => `${place.dataset.search}?${new URLSearchParams({ like: data.id[at] })}`;

    // Texts are put in as texts, never as HTML.
    function choose(at) {
      if (at === chosen) return;
      chosen = at;
      plot.redraw(false);
      label.hidden = at < 0;
      if (at < 0) return;
      label.textContent = data.title[at];
      const name = document.createElement("strong");
      name.textContent = data.title[at];
      const like = document.createElement("a");
      like.href = likeAddress(at);
      like.textContent = "More like this";
      told.replaceChildren(name, ` (${data.labels[data.group[at]]}) `, like);
    }

    // Beside its dot, on the side where there is room.
    function put(plot) {
      if (chosen < 0) return;
      const x = plot.valToPos(data.x[chosen], "x"), y = plot.valToPos(data.y[chosen], "y");
      const { clientWidth: width, clientHeight: height } = plot.over;
      label.hidden = x < 0 || x > width || y < 0 || y > height;
      label.style.left = x < width / 2 ? `${x + 10}px` : "";
      label.style.right = x < width / 2 ? "" : `${width - x + 10}px`;
      label.style.top = `${Math.min(y + 8, height - 30)}px`;
    }

    // Where a pointer is, from the left and upper edge of the drawing.
    const inside = (event) => {
      const box = plot.over.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top, width: box.width, height: box.height };
    };

    function nearest({ x, y }) {
      let best = -1, least = NEAR * NEAR;
      for (const at of order) {
        if (hidden.has(data.group[at])) continue;
        const across = plot.valToPos(data.x[at], "x") - x, down = plot.valToPos(data.y[at], "y") - y;
        const far = across * across + down * down;
        if (far < least) { best = at; least = far; }
      }
      return best;
    }

    // One pointer moves the map, two zoom it.
    const pointers = new Map();
    let dragged = false;
    const apart = () => {
      const [one, two] = [...pointers.values()];
      return Math.hypot(one.x - two.x, one.y - two.y);
    };
    place.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, inside(event));
      place.setPointerCapture(event.pointerId);
      dragged = false;
    });
    place.addEventListener("pointermove", (event) => {
      const to = inside(event), from = pointers.get(event.pointerId);
      if (!from) {
        const at = nearest(to);
        if (at >= 0) choose(at);
        place.style.cursor = at >= 0 ? "pointer" : "";
        return;
      }
      if (pointers.size === 1) {
        if (!dragged && Math.hypot(to.x - from.x, to.y - from.y) < 4) return;
        dragged = true;
        move((from.x - to.x) / to.width, (to.y - from.y) / to.height);
        pointers.set(event.pointerId, to);
        return;
      }
      dragged = true;
      const before = apart();
      pointers.set(event.pointerId, to);
      const [one, two] = [...pointers.values()];
      if (before > 0) zoom(apart() / before, (one.x + two.x) / 2 / to.width, 1 - (one.y + two.y) / 2 / to.height);
    });
    const up = (event) => {
      if (pointers.delete(event.pointerId) && !dragged && event.type === "pointerup") choose(nearest(inside(event)));
    };
    place.addEventListener("pointerup", up);
    place.addEventListener("pointercancel", up);
    place.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { x, y, width, height } = inside(event);
      zoom(event.deltaY < 0 ? STEP : 1 / STEP, x / width, 1 - y / height);
    }, { passive: false });

    // From row to row in the order of the rows, over those that are in view.
    function next(by) {
      const seen = order.filter((at) => !hidden.has(data.group[at]) && data.x[at] >= view.x[0] && data.x[at] <= view.x[1]
        && data.y[at] >= view.y[0] && data.y[at] <= view.y[1]);
      if (!seen.length) return;
      const now = seen.indexOf(chosen);
      choose(seen[now < 0 ? (by > 0 ? 0 : seen.length - 1) : (now + by + seen.length) % seen.length]);
    }

    const KEYS = {
      ArrowLeft: () => move(-0.1, 0), ArrowRight: () => move(0.1, 0), ArrowUp: () => move(0, 0.1), ArrowDown: () => move(0, -0.1),
      "+": () => zoom(STEP), "=": () => zoom(STEP), "-": () => zoom(1 / STEP), 0: () => show(whole),
      n: () => next(1), p: () => next(-1), Enter: () => { if (chosen >= 0) location.assign(likeAddress(chosen)); },
    };
    place.addEventListener("keydown", (event) => {
      const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });

    document.getElementById("nearer").addEventListener("click", () => zoom(STEP));
    document.getElementById("farther").addEventListener("click", () => zoom(1 / STEP));
    document.getElementById("whole").addEventListener("click", () => show(whole));

    document.getElementById("legend").replaceChildren(...data.labels.map((label, group) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.innerHTML = '<svg viewBox="0 0 10 10" aria-hidden="true"><circle cx="5" cy="5" r="5"/></svg>';
      button.querySelector("circle").setAttribute("fill", colour(group));
      button.append(`${label} (${groups[group].length})`);
      button.addEventListener("click", () => {
        const visible = hidden.delete(group);
        if (!visible) hidden.add(group);
        button.setAttribute("aria-pressed", String(visible));
        plot.setSeries(group + 1, { show: visible });
      });
      const item = document.createElement("li");
      item.append(button);
      return item;
    }));

    new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: place.clientHeight })).observe(place);
    show(whole);
    if (data.every > 1) told.append(` One row in ${data.every} is drawn.`);
    place.dataset.ready = String(data.x.length);
  }

  fetch(place.dataset.points)
    .then((response) => response.json())
    .then((data) => {
      if (data.error) throw new Error(data.error);
      start(data);
    })
    .catch((error) => {
      told.setAttribute("role", "alert");
      told.className = "error";
      told.textContent = error.message;
    });
})();
