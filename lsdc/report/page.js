"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { facets, values, groups, group, classes, labels, runs } = data;
  const size = labels.length;
  const first = runs[0];
  const last = runs[runs.length - 1];

  const el = (tag, properties = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in made && name !== "list") made[name] = value;
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  };
  const loss = (run, i) => run.losses[i] / data.parts;
  const share = (run, i) => run.shares[i] / data.shares; // per cent of the run's score
  const extra = (run, i) => (run.extras[i] ?? 0) / data.shares; // what of it is in the extra part
  const extraName = data.extra.toLowerCase();
  const probability = (run, kind, i) => run.probabilities[kind][i] / data.parts;
  const predicted = (run, i) => {
    let best = 0;
    for (let kind = 1; kind < classes.length; kind++) {
      if (run.probabilities[kind][i] > run.probabilities[best][i]) best = kind;
    }
    return best;
  };
  const percent = (value) => (value > 0 && value < 0.001 ? "< 0.001 %" : `${value.toFixed(value >= 0.0995 ? 2 : value >= 0.00995 ? 3 : 4)} %`);
  const signed = (value, digits) =>
    `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(digits)}`;
  // The facets that tell the cases of a group apart: one or two.
  const apart = facets.slice(0, data.apart);
  const names = (i) => apart.map((facet, number) => facet.names[values[number][i]]);
  const key = (i) => [groups[group[i]], ...apart.map((facet, number) => facet.ids[values[number][i]])].join("_");
  const title = (i) => [`${data.groupName} ${groups[group[i]]}`, ...names(i)].join(" · ");

  let places;
  const find = (name) => {
    places ??= new Map(Array.from({ length: size }, (_, i) => [key(i), i]));
    return places.get(name);
  };

  // The columns of the table. On a phone, those that are narrow are left out; `below` stands in.
  const place = (i) => names(i).reverse().join(" ");
  const change = (i) => loss(last, i) - loss(first, i);
  const several = runs.length > 1;
  const longest = (texts) => texts.reduce((most, text) => Math.max(most, text.length), 0);
  const columns = [
    { name: data.groupName, word: true, width: Math.max(8.5, 4.5 + 0.5 * longest(groups)), text: (i) => groups[group[i]], by: (i) => group[i], below: place },
    ...facets.map((facet, number) => ({
      name: facet.name,
      word: number < data.apart,
      narrow: true,
      width: number < data.apart ? 2 + 0.5 * longest(facet.names) : Math.max(3, 2.4 + 0.45 * longest(facet.names)),
      text: (i) => facet.names[values[number][i]],
      by: (i) => values[number][i],
    })),
    { name: "Label", word: true, width: 8.8, text: (i) => classes[labels[i]], by: (i) => labels[i], swatch: (i) => labels[i] },
    {
      name: "Prediction", word: true, width: 9.4, swatch: (i) => predicted(first, i),
      text: (i) => `${classes[predicted(first, i)]} ${(100 * probability(first, predicted(first, i), i)).toFixed(0)} %`,
      by: (i) => 2 * predicted(first, i) + probability(first, predicted(first, i), i),
    },
    ...runs.map((run, number) => ({
      name: several ? `Loss, ${run.name}` : "Loss",
      narrow: true,
      width: several ? 8 : 5.2,
      text: (i) => loss(run, i).toFixed(3),
      by: (i) => loss(run, i),
    })),
    ...(several
      ? [{ name: "Change", width: 5, text: (i) => signed(change(i), 3), by: change, below: (i) => `${loss(first, i).toFixed(2)} → ${loss(last, i).toFixed(2)}` }]
      : [
          ...(data.extra
            ? [{ name: data.extra, narrow: true, width: 7, text: (i) => (extra(first, i) ? percent(extra(first, i)) : ""), by: (i) => extra(first, i) }]
            : []),
          { name: "Share of score", width: 7, text: (i) => percent(share(first, i)), by: (i) => first.shares[i], below: (i) => `loss ${loss(first, i).toFixed(2)}` },
        ]),
  ];

  // The filters.
  const form = document.getElementById("filters");
  const any = (names) => [["", "all"], ...names.map((name, number) => [String(number), name])];
  const select = (word, name, options) => {
    const made = el("select", { name: word }, ...options.map(([value, text]) => el("option", { value }, text)));
    form.append(el("label", {}, name, made));
    return made;
  };
  const chosen = facets.map((facet) => select(facet.word, facet.name, any(facet.names)));
  const label = select("label", "Label", any(classes));
  const guess = select("predicted", several ? `Prediction of ${first.name}` : "Prediction", any(classes));
  const error = select("error", "Error", [["", "all"], ["no", "right"], ["yes", "wrong"], ["far", "wrong by two grades"]].slice(0, classes.length > 2 ? 4 : 3));
  const extras = data.extra ? select("extra", data.extra, [["", "all"], ["yes", "cases that answer for it"]]) : null;
  const moved = several
    ? select("change", "Change", [["", "all"], ["better", "lower loss"], ["worse", "higher loss"], ["other", "another prediction"]])
    : null;
  const search = el("input", { type: "search", name: "group", inputMode: groups.every((name) => /^\d+$/.test(name)) ? "numeric" : "text", autocomplete: "off", placeholder: "/" });
  form.append(el("label", {}, `${data.groupName} id`, search));
  form.append(el("button", { type: "reset" }, "Show all"));

  let order = new Uint32Array(0);
  const downBy = (name) => ({ column: columns.findIndex((each) => each.name === name), down: true });
  const usual = columns[columns.length - 1].name;
  let sorting = downBy(usual);

  const passes = () => {
    const tests = [];
    chosen.forEach((each, number) => {
      if (each.value) tests.push((i) => values[number][i] === +each.value);
    });
    if (label.value) tests.push((i) => labels[i] === +label.value);
    if (guess.value) tests.push((i) => predicted(first, i) === +guess.value);
    const off = (i) => Math.abs(predicted(first, i) - labels[i]);
    if (error.value) tests.push((i) => ({ no: off(i) === 0, yes: off(i) > 0, far: off(i) > 1 })[error.value]);
    if (extras?.value) tests.push((i) => first.extras[i] > 0);
    if (moved?.value) {
      const kinds = {
        better: (i) => change(i) < 0,
        worse: (i) => change(i) > 0,
        other: (i) => predicted(first, i) !== predicted(last, i),
      };
      tests.push(kinds[moved.value]);
    }
    const typed = search.value.trim().toLowerCase();
    if (typed) {
      const fits = groups.map((name) => name.toLowerCase().includes(typed));
      tests.push((i) => fits[group[i]]);
    }
    return (i) => tests.every((test) => test(i));
  };

  const found = document.getElementById("found");
  const refresh = () => {
    const wanted = passes();
    const kept = [];
    let sum = 0, ofExtra = 0;
    for (let i = 0; i < size; i++) {
      if (wanted(i)) {
        kept.push(i);
        sum += share(first, i);
        ofExtra += extra(first, i);
      }
    }
    const keys = new Float64Array(size);
    const by = columns[sorting.column].by;
    for (const i of kept) keys[i] = by(i);
    const sign = sorting.down ? -1 : 1;
    order = Uint32Array.from(kept).sort((a, b) => sign * (keys[a] - keys[b]) || a - b);
    const of = kept.length === size ? "" : ` of ${size.toLocaleString("en")}`;
    found.textContent =
      `${kept.length.toLocaleString("en")}${of} cases, ${sum.toFixed(1)} % of the score` +
      (several ? ` of ${first.name}` : "") +
      (ofExtra ? `: ${(sum - ofExtra).toFixed(1)} % by their labels, ${ofExtra.toFixed(1)} % in ${extraName}` : "");
    current = 0;
    scroller.scrollTop = 0;
    draw(true);
  };

  // The table: only the rows in view exist.
  const scroller = document.getElementById("scroller");
  const table = document.getElementById("case-table");
  const body = table.tBodies[0];
  const measured = () => parseInt(getComputedStyle(document.documentElement).getPropertyValue("--row"), 10);
  let rowHeight = measured();
  let current = 0;
  let shown = [-1, -1];
  const kept = new Map(); // the rows in view, by their place

  const widths = columns.reduce((sum, column) => sum + column.width, 0);
  const headings = columns.map((column, number) => {
    const button = el("button", { type: "button", title: `Sort by ${column.name.toLowerCase()}` }, column.name);
    button.addEventListener("click", () => {
      const same = sorting.column === number;
      sorting = { column: number, down: same ? !sorting.down : !column.word };
      mark();
      refresh();
    });
    const cell = el("th", { scope: "col", className: classesOf(column) }, button);
    cell.style.width = `${(100 * column.width) / widths}%`;
    return cell;
  });
  table.tHead.append(el("tr", {}, ...headings));
  function classesOf(column) {
    return [column.word && "word", column.narrow && "narrow"].filter(Boolean).join(" ");
  }
  const mark = () =>
    headings.forEach((cell, number) => {
      if (number === sorting.column) cell.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });

  const [above, below] = [0, 1].map(() => el("tr", { className: "space", "aria-hidden": "true" }));
  body.append(above, below);
  const row = (place) => {
    const i = order[place];
    const made = el("tr", { className: "case", "aria-rowindex": place + 2 });
    columns.forEach((column, number) => {
      const swatch = column.swatch ? [el("i", { className: `swatch class-${column.swatch(i)}` })] : [];
      const below = column.below ? [el("small", {}, column.below(i))] : [];
      if (number === 0) {
        const link = el("a", { href: `#case=${key(i)}`, tabIndex: place === current ? 0 : -1 }, column.text(i));
        made.append(el("th", { scope: "row", className: "word" }, link, ...below));
      } else made.append(el("td", { className: classesOf(column) }, ...swatch, column.text(i), ...below));
    });
    return made;
  };
  const draw = (always = false) => {
    const from = Math.max(0, Math.floor(scroller.scrollTop / rowHeight) - 3);
    const to = Math.min(order.length, from + Math.ceil(scroller.clientHeight / rowHeight) + 7);
    if (!always && from === shown[0] && to === shown[1]) return;
    shown = [from, to];
    const held = body.contains(document.activeElement);
    const old = new Map(kept);
    kept.clear();
    // A row that stays is not touched: to take it out and back in costs its layout. New rows come
    // before old ones go: if the row with the focus goes, the scroller must not be too short.
    let next = above.nextSibling;
    for (let place = from; place < to; place++) {
      const stays = always ? undefined : old.get(place);
      kept.set(place, stays ?? body.insertBefore(row(place), next));
      if (!stays) continue;
      old.delete(place);
      next = stays.nextSibling;
    }
    for (const made of old.values()) made.remove();
    table.setAttribute("aria-rowcount", order.length + 1);
    above.style.height = `${from * rowHeight}px`;
    below.style.height = `${(order.length - to) * rowHeight}px`;
    if (held) focusRow();
  };
  const focusRow = () => {
    const link = current >= shown[0] && current < shown[1] ? body.rows[current - shown[0] + 1].querySelector("a") : scroller;
    link.focus({ preventScroll: true });
  };
  const step = (to) => {
    current = Math.max(0, Math.min(order.length - 1, to));
    const head = table.tHead.offsetHeight;
    const top = current * rowHeight;
    const room = scroller.clientHeight - head - rowHeight;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top > scroller.scrollTop + room) scroller.scrollTop = top - room;
    draw(true);
    focusRow();
  };
  let waiting = false;
  scroller.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  });
  scroller.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(scroller.clientHeight / rowHeight) - 2);
    const to = { ArrowDown: current + 1, ArrowUp: current - 1, PageDown: current + page, PageUp: current - page, Home: 0, End: order.length - 1 }[event.key];
    if (to === undefined || !order.length || event.target.closest("thead")) return;
    event.preventDefault();
    step(document.activeElement === scroller ? current : to);
  });
  form.addEventListener("input", refresh);
  form.addEventListener("reset", () => setTimeout(refresh));
  form.addEventListener("submit", (event) => event.preventDefault());
  new ResizeObserver(() => {
    rowHeight = measured();
    draw(true);
  }).observe(scroller);

  // One case.
  const dialog = document.getElementById("case");
  const content = document.getElementById("case-body");
  let opened = -1;

  const bars = (run, i) => {
    const shares = classes.map((_, kind) => probability(run, kind, i));
    const parts = shares.map((part, kind) => {
      const bar = el("i", { className: `class-${kind}` });
      bar.style.setProperty("--part", part);
      return bar;
    });
    const text = shares.map((part, kind) => `${classes[kind]} ${(100 * part).toFixed(1)} %`);
    const mark = el("i", { className: "mark" });
    mark.style.setProperty("--at", shares.slice(0, labels[i]).reduce((sum, part) => sum + part, shares[labels[i]] / 2));
    return el("span", { className: "marked" }, el("span", { className: "bars", role: "img", "aria-label": text.join(", ") }, ...parts), mark);
  };
  const answers = (i) => {
    const made = el("div", { className: "answers" });
    for (const run of runs) {
      made.append(several ? run.name : "Prediction", bars(run, i), `loss ${loss(run, i).toFixed(4)}, ${percent(share(run, i))} of the score` + (extra(run, i) ? `, ${percent(extra(run, i))} in ${extraName}` : ""));
    }
    const names = classes.map((name, kind) => {
      const each = runs.map((run) => `${(100 * probability(run, kind, i)).toFixed(1)} %`).join(" and ");
      return el("li", {}, el("i", { className: `swatch class-${kind}` }), `${name} ${each}${kind === labels[i] ? " (label)" : ""}`);
    });
    return [made, el("ul", { className: "legend" }, ...names)];
  };
  const matrix = (i) => {
    const [down, across] = [apart[0].names, apart[1]?.names ?? ["Labels"]];
    const cell = (j) => values[0][j] * across.length + (apart[1] ? values[1][j] : 0);
    const mine = new Map();
    for (let j = 0; j < size; j++) if (group[j] === group[i]) mine.set(cell(j), j);
    const head = el("tr", {}, el("td"), ...across.map((name) => el("th", { scope: "col" }, name)));
    // Groups have rows of different numbers: of slices, for example.
    const rows = [...down.keys()].filter((row) => across.some((_, column) => mine.has(row * across.length + column)));
    const lines = rows.map((row) =>
      el("tr", {}, el("th", { scope: "row" }, down[row]), ...across.map((_, column) => {
        const j = mine.get(row * across.length + column);
        if (j === undefined) return el("td", {}, el("span", {}, "–"));
        const told = `label ${classes[labels[j]]}, prediction ${classes[predicted(first, j)]}`;
        // A button, as audits take a link out of view for one that skips to a part of the page.
        const link = el("button", { type: "button", title: told },
          el("i", { className: `swatch class-${labels[j]}` }), el("i", { className: `swatch class-${predicted(first, j)}` }), loss(first, j).toFixed(2));
        link.addEventListener("click", () => location.replace(`#case=${key(j)}`));
        return el("td", { className: j === i ? "here" : "" }, link);
      })));
    const name = `${data.areAll ? "All" : "Listed"} cases of this ${data.groupName.toLowerCase()}`;
    const whole = [...mine.values()].reduce((sum, j) => sum + share(first, j), 0);
    const meaning = classes.map((each, kind) => el("li", {}, el("i", { className: `swatch class-${kind}` }), each));
    return [
      el("div", { className: "scrollable", tabIndex: 0, role: "group", "aria-label": name },
        el("table", { className: "matrix" }, el("caption", {}, `${name}: ${percent(whole)} of the score`), el("thead", {}, head), el("tbody", {}, ...lines))),
      el("p", { className: "soft" }, "First square: label; second: prediction; number: loss."),
      el("ul", { className: "legend" }, ...meaning),
    ];
  };
  const picture = (i) => {
    const card = [...document.querySelectorAll("[data-picture]")].find((each) => each.dataset.picture === key(i));
    if (!card) return [];
    const image = card.querySelector("img");
    const seen = card.parentElement.querySelector("details ul");
    const shownImage = el("img", { className: "shown", src: image.src, alt: image.alt, width: image.width, height: image.height });
    const listed = seen ? [el("details", {}, el("summary", {}, "Slices"), seen.cloneNode(true))] : [];
    return [el("h3", {}, "What the model saw"), shownImage, ...listed];
  };
  const open = (i) => {
    opened = i;
    document.getElementById("case-title").textContent = title(i);
    const more = facets.slice(data.apart).map((facet, number) => `${facet.name} ${facet.names[values[number + data.apart][i]]} · `).join("");
    const note = data.notes[i] ? [el("p", { className: "warns" }, data.notes[i])] : [];
    content.replaceChildren(el("p", { className: "text soft" }, `${more}label `, el("b", {}, classes[labels[i]])), ...answers(i), ...note, ...picture(i), ...matrix(i));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    document.getElementById("case-title").focus();
  };
  const move = (by) => {
    const place = order.indexOf(opened);
    const next = place < 0 ? 0 : place + by;
    if (order.length && next >= 0 && next < order.length) location.replace(`#case=${key(order[next])}`);
  };
  document.getElementById("previous").addEventListener("click", () => move(-1));
  document.getElementById("next").addEventListener("click", () => move(1));
  document.getElementById("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => {
    if (location.hash.startsWith("#case=")) history.replaceState(null, "", location.href.split("#")[0]);
    const place = order.indexOf(opened);
    if (place >= 0 && body.contains(document.activeElement)) step(place);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (dialog.open && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      event.preventDefault();
      move(event.key === "ArrowLeft" ? -1 : 1);
    } else if (event.key === "/" && !dialog.open && !event.target.closest("input, select")) {
      event.preventDefault();
      search.focus();
      search.scrollIntoView({ block: "center" });
    }
  });

  // Links: #case=KEY opens a case, #cases?WORD=ID&label=2 filters the table.
  const follow = () => {
    const [where, query] = decodeURIComponent(location.hash.slice(1)).split(/[?=](.*)/s);
    if (where === "case") {
      const i = find(query);
      if (i !== undefined) return open(i);
      found.textContent = `No case is called ${query}. All cases are listed here.`;
      found.scrollIntoView({ block: "center" });
      return;
    }
    if (dialog.open) dialog.close();
    if (where !== "cases" || query === undefined) return;
    const wanted = new URLSearchParams(query);
    form.reset();
    chosen.forEach((each, number) => {
      const place = facets[number].ids.indexOf(wanted.get(facets[number].word) ?? "");
      each.value = place < 0 ? "" : String(place);
    });
    sorting = downBy(wanted.get("extra") && data.extra && !several ? data.extra : usual);
    mark();
    for (const each of [label, guess, error, extras, moved, search]) if (each) each.value = wanted.get(each.name) ?? "";
    setTimeout(() => {
      refresh();
      document.getElementById("case-table").closest("section").scrollIntoView();
      if (order.length) focusRow(); // so that the arrow keys move in the table
    });
  };
  window.addEventListener("hashchange", follow);
  mark();
  refresh();
  follow();
})();
