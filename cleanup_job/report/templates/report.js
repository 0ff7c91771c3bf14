"use strict";
{
  const by = id => document.getElementById(id);
  const element = (name, attributes = {}, ...inner) => {
    const node = name === "svg" || name === "rect"
      ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...inner);  // names are text nodes: nothing in them means anything
    return node;
  };
  const collator = new Intl.Collator("en", {numeric: true});
  const grouped = number => number.toLocaleString("en");

  // As formatting.size and formatting.at_least show them.
  const size = number => {
    if (number < 1024) return `${number} B`;
    for (const unit of ["KiB", "MiB", "GiB"]) if ((number /= 1024) < 1024) return `${number.toFixed(1)} ${unit}`;
    return `${(number / 1024).toLocaleString("en", {minimumFractionDigits: 1, maximumFractionDigits: 1})} TiB`;
  };
  const sizeOf = (bytes, unsized) => unsized ? bytes ? `at least ${size(bytes)}` : "size unknown" : size(bytes);

  /* ---- Heads that sort ---- */

  // Turns a head's name into a button that calls `sort` with 1 or -1; `first` is the direction of the first click.
  const sortable = (head, heads, first, sort) => {
    const button = element("button", {type: "button"}, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const names = {1: "ascending", [-1]: "descending"};
      const sign = head.getAttribute("aria-sort") === names[first] ? -first : first;
      for (const each of heads) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", names[sign]);
      sort(sign);
    });
  };

  /* ---- Projects: a tree in the order of its rows ---- */

  if (by("projects")) {
    const body = by("projects").tBodies[0], path = [{row: null, children: [], open: true}];
    for (const row of body.rows) {
      const level = Number(row.dataset.level);
      path.length = level;
      const node = {row, children: [], open: false};
      path[level - 1].children.push(node);
      path.push(node);
    }
    const [root] = path;
    const show = (node, shown) => {
      for (const child of node.children) {
        child.row.hidden = !shown;
        show(child, shown && child.open);
      }
    };
    const fold = (node, open) => {
      node.open = open;
      node.toggle.setAttribute("aria-expanded", open);
    };
    const parents = [];
    const prepare = node => {
      for (const child of node.children) {
        if (child.children.length) {
          const name = child.row.querySelector(".name");
          child.toggle = element("button", {type: "button", class: "toggle", "aria-label": `Sub-projects of ${name.textContent}`});
          child.toggle.addEventListener("click", () => { fold(child, !child.open); show(root, true); });
          name.before(child.toggle);
          fold(child, root.children.length === 1 && node === root);
          parents.push(child);
        }
        prepare(child);
      }
    };
    prepare(root);
    show(root, true);
    by("projects").classList.toggle("tree", parents.length > 0);
    if (parents.length) {
      const button = element("button", {type: "button", class: "plain", id: "unfold"}, "Open all sub-projects");
      button.addEventListener("click", () => {
        const open = parents.some(parent => !parent.open);
        for (const parent of parents) fold(parent, open);
        button.textContent = open ? "Close all sub-projects" : "Open all sub-projects";
        show(root, true);
      });
      document.querySelector(".choice").after(button);
    }
    const value = (row, column) => {
      const cell = row.cells[column];
      return cell.dataset.value === undefined ? cell.querySelector(".name").textContent : Number(cell.dataset.value);
    };
    const sort = (node, compare) => {
      node.children.sort((a, b) => compare(a.row, b.row));
      for (const child of node.children) {
        body.append(child.row);
        sort(child, compare);
      }
    };
    const heads = [...by("projects").tHead.rows[0].cells];
    heads.forEach((head, column) => sortable(head, heads, column ? -1 : 1, sign => sort(root, (a, b) => {
      const [one, other] = [value(a, column), value(b, column)];
      return sign * (column ? one - other : collator.compare(one, other));
    })));
  }

  /* ---- All tasks ---- */

  const unpacked = async text => {
    const packed = atob(text), bytes = new Uint8Array(packed.length);
    for (let n = 0; n < packed.length; n++) bytes[n] = packed.charCodeAt(n);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };

  // The values of a row, in the order of packed_rows.py.
  const [ID, NAME, PROJECT, OWNER, VERDICT, REASON, DETAIL, STATUS, RULE, MODELS, FILES, BYTES, UNSIZED, ACTIVE, STAGE, POLICY, DUE] = Array(17).keys();
  const FREED = ["deleted", "would_delete", "slimmed", "would_slim"];
  const COLOUR = {deleted: "deleted", would_delete: "deleted", kept: "kept", failed: "failed"};
  const EDGES = [0, 7, 14, 30, 60, 90, 180, 365, 730, 1095, 1825, Infinity];
  const EDGE_NAMES = ["now", "1 week", "2 weeks", "1 month", "2 months", "3 months", "6 months", "1 year", "2 years", "3 years", "5 years"];
  const PRINTED = 500;  // rows on paper

  const start = ({rows, projects, owners, verdicts, reasons, statuses, rules, stages, policies, about}) => {
    const verdict = row => verdicts[row[VERDICT]][0];
    const reason = row => row[REASON] < 0 ? "" : reasons[row[REASON]][1];
    const days = row => row[ACTIVE] === null ? null : Math.max(0, Math.floor((about.started - row[ACTIVE]) / 86400));
    const age = row => days(row) === null ? "" : days(row) === 1 ? "1 day" : `${grouped(days(row))} days`;
    const freed = row => FREED.includes(verdict(row)) || row[BYTES] || row[UNSIZED] ? sizeOf(row[BYTES], row[UNSIZED]) : "";
    const announced = row => row[DUE] === null || stages[row[STAGE]][0] !== "notice" ? ""
      : `from ${new Date(row[DUE] * 1000).toISOString().slice(0, 10)} on`;
    const link = row => about.web
      && `${about.web}/projects/${encodeURIComponent(projects[row[PROJECT]][1] || "*")}/experiments/${encodeURIComponent(row[ID])}/output/execution`;

    /* -- Ages -- */
    const bins = EDGES.slice(1).map(() => ({bytes: 0, unsized: 0, deleted: 0, kept: 0, failed: 0, other: 0, tasks: 0}));
    for (const row of rows) {
      const old = days(row);
      if (old === null) continue;
      const bin = bins[EDGES.findIndex(edge => old < edge) - 1];
      bin[COLOUR[verdict(row)] ?? "other"]++;
      bin.tasks++;
      bin.bytes += row[BYTES];
      bin.unsized += row[UNSIZED];
    }
    const used = bins.flatMap((bin, n) => bin.tasks ? [n] : []);
    if (used.length) {
      const most = Math.max(...bins.map(bin => bin.tasks)), largest = Math.max(1, ...bins.map(bin => bin.bytes));
      const bar = (unit, parts) => {
        let from = 0;
        return element("svg", {class: `bar ${unit}`, "aria-hidden": "true"}, ...parts.filter(([, share]) => share).map(([kind, share]) => {
          const part = element("rect", {class: kind, x: `${100 * from}%`, width: `${100 * share}%`, height: "100%"});
          from += share;
          return part;
        }));
      };
      const line = n => {
        const bin = bins[n], last = n === bins.length - 1;
        const name = last ? `over ${EDGE_NAMES[n]}` : n ? `${EDGE_NAMES[n]} to ${EDGE_NAMES[n + 1]}` : `under ${EDGE_NAMES[1]}`;
        return element("tr", {role: "row"}, element("th", {role: "rowheader", scope: "row"}, name),
          element("td", {role: "cell", class: "bars"},
            bar("tasks", ["deleted", "kept", "failed", "other"].map(kind => [kind, bin[kind] / most])),
            bar("bytes", [["deleted", bin.bytes / largest]])),
          element("td", {role: "cell", class: "n"}, `${grouped(bin.tasks)} ${bin.tasks === 1 ? "task" : "tasks"}`),
          element("td", {role: "cell", class: "n"}, sizeOf(bin.bytes, bin.unsized)));
      };
      const lines = [];
      for (let n = used[0]; n <= used.at(-1); n++) lines.push(line(n));
      const heads = [["age", ""], ["shares", "bars"], ["tasks", "n"], ["freed", "n"]]
        .map(([name, kind]) => element("th", {role: "columnheader", scope: "col", class: kind},
          kind === "bars" ? element("span", {class: "hidden"}, name) : name));
      by("ages").append(element("div", {class: "panel"}, element("table", {role: "table", "aria-labelledby": "h-ages"},
        element("thead", {role: "rowgroup"}, element("tr", {role: "row"}, ...heads)), element("tbody", {role: "rowgroup"}, ...lines))));
      by("ages").hidden = false;
    }

    /* -- The table: only the rows in sight are elements -- */
    const table = element("div", {role: "grid", id: "tasks", "aria-label": "All tasks", "aria-rowcount": rows.length + 1});
    const scroller = element("div", {role: "rowgroup", class: "scroller"}), space = element("div", {role: "presentation", class: "space"});
    const columns = [
      ["task", "name"], ["project", "project"], ["owner", "owner"], ["result", "result"], ["age", "age n"], ["freed", "freed n"],
      ["files", "files n"], ["reason", "reason"],
    ];
    const byPolicy = policies.some(([name]) => name);
    if (byPolicy) {
      columns.push(["stage", "stage"], ["policy", "policy"]);
      table.classList.add("by-policy");
    }
    const heads = columns.map(([name, kind]) => element("div", {role: "columnheader", class: kind}, name));
    table.append(element("div", {role: "rowgroup", class: "heads"}, element("div", {role: "row", class: "row", "aria-rowindex": 1}, ...heads)));
    scroller.append(space);
    table.append(scroller);
    const chosen = element("div", {id: "chosen", role: "region", "aria-label": "Chosen task", tabindex: -1, hidden: ""});
    by("printed").after(table, chosen);
    by("all").hidden = !rows.length;

    let found = Uint32Array.from(rows.keys()), order = found, active = 0, nodes = new Map(), printing = false;

    const ranks = texts => {
      const sorted = [...texts.keys()].sort((a, b) => collator.compare(texts[a], texts[b])), rank = new Uint32Array(texts.length);
      sorted.forEach((index, n) => { rank[index] = n && !collator.compare(texts[index], texts[sorted[n - 1]]) ? rank[sorted[n - 1]] : n; });
      return rank;
    };
    const ranked = (texts, number) => { const rank = ranks(texts); return rows.map(row => row[number] < 0 ? -1 : rank[row[number]]); };
    // The number by which each column sorts a row, made when it is first asked for.
    const makers = [
      () => ranks(rows.map(row => row[NAME])),
      () => ranked(projects.map(([name]) => name), PROJECT),
      () => ranked(owners.map(([name]) => name), OWNER),
      () => ranked(verdicts.map(([, name]) => name), VERDICT),
      () => rows.map(row => row[ACTIVE] === null ? -1 : about.started - row[ACTIVE]),
      () => rows.map(row => row[BYTES]),
      () => rows.map(row => row[FILES]),
      () => ranked(reasons.map(([, text]) => text), REASON),
      () => ranked(stages.map(([name]) => name), STAGE),
      () => ranked(policies.map(([name]) => name), POLICY),
    ];
    const keys = [];
    const sort = (column, sign) => {
      const key = keys[column] ??= makers[column]();
      order = Uint32Array.from(rows.keys()).sort((a, b) => sign * (key[a] - key[b]) || a - b);
      search();
    };

    const cell = (kind, ...inner) => element("div", {role: "gridcell", class: kind}, ...inner);
    const rowAt = place => {
      const row = rows[found[place]], name = row[NAME] || row[ID], address = link(row), why = reason(row);
      const node = element("div", {role: "row", class: "row", "aria-rowindex": place + 2, tabindex: -1},
        cell("name", address ? element("a", {href: address, rel: "noreferrer", tabindex: -1}, name) : name),
        cell("project", projects[row[PROJECT]][0]), cell("owner", owners[row[OWNER]][0]),
        cell("result", element("span", {class: `tag ${verdict(row)}`}, verdicts[row[VERDICT]][1])),
        cell("age n", age(row)), cell("freed n", freed(row)), cell("files n", row[FILES] ? grouped(row[FILES]) : ""),
        cell("reason", row[DETAIL] ? `${why}: ${row[DETAIL]}` : why || announced(row)),
        ...byPolicy ? [cell("stage", stages[row[STAGE]][0]), cell("policy", policies[row[POLICY]][0])] : []);
      node.dataset.place = place;
      return node;
    };

    const height = () => parseFloat(getComputedStyle(table).getPropertyValue("--row"));
    const draw = () => {
      if (printing) return;
      const each = height();
      space.style.height = `${found.length * each}px`;  // first: it decides how many rows are in sight
      const first = Math.max(0, Math.floor(scroller.scrollTop / each) - 8);
      const last = Math.min(found.length, Math.ceil((scroller.scrollTop + scroller.clientHeight) / each) + 8);
      const wanted = new Set();
      for (let place = first; place < last; place++) wanted.add(place);
      if (active < found.length) wanted.add(active);  // it may have the focus
      put(wanted);
      for (const [place, node] of nodes) {
        node.style.top = `${place * each}px`;
        node.tabIndex = place === active ? 0 : -1;
        node.setAttribute("aria-selected", !chosen.hidden && place === active);
      }
    };
    // Nodes that stay are not moved, so that the focus stays where it is.
    const put = wanted => {
      for (const [at, node] of nodes) if (!wanted.has(at)) { node.remove(); nodes.delete(at); }
      let next = space.firstChild;
      for (const at of [...wanted].sort((a, b) => a - b)) {
        if (nodes.has(at)) next = nodes.get(at).nextSibling;
        else { nodes.set(at, rowAt(at)); space.insertBefore(nodes.get(at), next); }
      }
    };
    const redraw = () => { put(new Set()); draw(); };

    /* -- Search and filters -- */
    let texts = null;
    const text = index => {
      const row = rows[index];
      return [row[NAME], row[ID], ...projects[row[PROJECT]], owners[row[OWNER]][0], verdicts[row[VERDICT]][1], reason(row), row[DETAIL],
        policies[row[POLICY]][0], stages[row[STAGE]][0]]
        .join("\n").toLowerCase();
    };
    const search = () => {
      const words = by("search").value.toLowerCase().split(/\s+/).filter(Boolean);
      const state = by("verdict").value, why = by("reason").value, stage = by("stage").value, policy = by("policy").value;
      if (words.length) texts ??= rows.map((_, index) => text(index));
      found = order.filter(index => (!state || verdict(rows[index]) === state)
        && (!why || (rows[index][REASON] >= 0 && reasons[rows[index][REASON]][0] === why))
        && (!stage || stages[rows[index][STAGE]][0] === stage) && (!policy || policies[rows[index][POLICY]][0] === policy)
        && words.every(word => texts[index].includes(word)));
      active = 0;
      chosen.hidden = true;
      scroller.scrollTop = 0;
      table.setAttribute("aria-rowcount", found.length + 1);
      const listed = about.total > rows.length ? ` (of ${grouped(about.total)} tasks of this pass)` : "";
      by("count").textContent = found.length ? `${grouped(found.length)} of ${grouped(rows.length)} listed tasks${listed}` : "No task matches.";
      redraw();
    };
    const options = (select, counted, entries) => entries.forEach(([key, name = key], n) => {
      if (!key) return;
      const number = rows.reduce((sum, row) => sum + (row[counted] === n), 0);
      select.append(element("option", {value: key}, `${name} (${grouped(number)})`));
    });
    options(by("verdict"), VERDICT, verdicts);
    options(by("reason"), REASON, reasons);
    options(by("stage"), STAGE, stages);
    options(by("policy"), POLICY, policies);
    for (const event of ["input", "change"]) by("tools").addEventListener(event, search);
    addEventListener("pageshow", search);  // a browser that comes back to the page fills in what was typed

    /* -- One task -- */
    const choose = (at, focus) => {
      if (at < 0 || at >= found.length) return;
      active = at;
      const row = rows[found[at]], address = link(row), each = height(), top = at * each;
      const facts = [
        ["task", address ? element("a", {href: address, rel: "noreferrer"}, row[NAME] || row[ID]) : row[NAME]],
        ["ID", element("code", {}, row[ID])], ["project", projects[row[PROJECT]][0] || "(no project)"], ["owner", owners[row[OWNER]][0]],
        ["status", statuses[row[STATUS]][0]], ["result", verdicts[row[VERDICT]][1]], ["reason", reason(row)], ["detail", row[DETAIL]],
        ["rule", rules[row[RULE]][0]], ["policy", policies[row[POLICY]][0]], ["stage", stages[row[STAGE]][0]], ["announced", announced(row)],
        ["last active", row[ACTIVE] === null ? "" : `${new Date(row[ACTIVE] * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC, ${age(row)} before`],
        ["models", row[MODELS] && grouped(row[MODELS])], ["files", row[FILES] && grouped(row[FILES])], ["size", freed(row)],
      ];
      chosen.hidden = false;
      chosen.replaceChildren(element("dl", {class: "about"}, ...facts.filter(([, value]) => value)
        .map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))));
      if (top < scroller.scrollTop) scroller.scrollTop = top;
      if (top + each > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + each - scroller.clientHeight;
      draw();
      if (focus) nodes.get(at).focus({preventScroll: true});
    };
    scroller.addEventListener("click", event => {
      const row = event.target.closest(".row");
      if (row && !event.target.closest("a")) choose(Number(row.dataset.place), true);
    });
    scroller.addEventListener("keydown", event => {
      const page = Math.max(1, Math.floor(scroller.clientHeight / height()) - 1);
      const to = {ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: found.length - 1}[event.key];
      if (to !== undefined) {
        event.preventDefault();
        choose(Math.min(found.length - 1, Math.max(0, to)), true);
      } else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose(active, true);
        chosen.focus();
      }
    });
    chosen.addEventListener("keydown", event => { if (event.key === "Escape") nodes.get(active).focus(); });

    scroller.addEventListener("scroll", () => requestAnimationFrame(draw));
    addEventListener("resize", draw);
    heads.forEach((head, column) => sortable(head, heads, head.classList.contains("n") ? -1 : 1, sign => sort(column, sign)));

    /* -- On paper: the first rows, one below the other -- */
    addEventListener("beforeprint", () => {
      printing = true;
      const number = Math.min(PRINTED, found.length);
      put(new Set(Array(number).keys()));
      const first = number < found.length ? "The first " : "";
      by("printed").textContent = number < rows.length
        ? `${first}${grouped(number)} of the ${grouped(rows.length)} tasks that the file lists.` : "";
    });
    addEventListener("afterprint", () => {
      printing = false;
      by("printed").textContent = "";
      redraw();
    });

    heads[5].setAttribute("aria-sort", "descending");  // what took the most space comes first
    sort(5, -1);
  };

  unpacked(by("rows").textContent).then(start).catch(error => {
    console.error(error);
    by("ages").hidden = true;
    by("all").replaceChildren(element("p", {class: "note bad"}, "This browser could not unpack the table of all tasks."));
    by("all").hidden = false;
  });
}
