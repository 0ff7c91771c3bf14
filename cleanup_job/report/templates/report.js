"use strict";
{
  const by = id => document.getElementById(id);

  // Every column sorts: by its number where it has one, else by its text.
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim().toLowerCase() : Number(cell.dataset.value);
  };
  for (const table of document.querySelectorAll("table")) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const first = head.classList.contains("n") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const order = head.ariaSort === first ? other : first;
        for (const each of heads) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const keyed = [...body.rows].map(row => [value(row, column), row]);
        keyed.sort(([a], [b]) => sign * (typeof a === "number" ? a - b : a.localeCompare(b)));
        body.append(...keyed.map(([, row]) => row));
      });
    });
  }

  if (by("tools")) {
    const rows = [...by("tasks").tBodies[0].rows].map(row => [row, row.textContent.toLowerCase()]);
    const show = () => {
      const words = by("search").value.toLowerCase().split(/\s+/).filter(Boolean);
      const state = by("state").value, reason = by("reason").value;
      let shown = 0;
      for (const [row, text] of rows) {
        const found = (!state || row.dataset.state === state) && (!reason || row.dataset.reason === reason)
          && words.every(word => text.includes(word));
        row.hidden = !found;
        shown += found;
      }
      by("count").textContent = shown ? `${shown} of ${rows.length} listed tasks` : "No task matches.";
    };
    for (const event of ["input", "change"]) by("tools").addEventListener(event, show);
    addEventListener("pageshow", show);  // a browser that comes back to the page fills in what was typed
    by("tools").hidden = false;
  }
}
