(() => {
  const all = document.querySelectorAll("details");
  const set = (open) => all.forEach((d) => { d.open = open; });
  const tools = document.querySelector(".tools");
  const filter = document.getElementById("filter");
  const shown = document.getElementById("shown");
  tools.hidden = false;
  tools.addEventListener("submit", (e) => e.preventDefault());
  document.getElementById("open").addEventListener("click", () => set(true));
  document.getElementById("close").addEventListener("click", () => set(false));
  const rows = [...document.querySelectorAll("tr[data-host]")].map((tr) => ({
    tr, text: tr.textContent.toLowerCase(), details: document.querySelector(`details[data-host="${tr.dataset.host}"]`),
  }));
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const r of rows) {
      const hide = !words.every((w) => r.text.includes(w));
      r.tr.hidden = r.details.hidden = hide;
      n += hide ? 0 : 1;
    }
    shown.textContent = words.length ? `${n} of ${rows.length} hosts` : "";
  });
  let closed = [];
  addEventListener("beforeprint", () => { closed = [...all].filter((d) => !d.open); set(true); });
  addEventListener("afterprint", () => closed.forEach((d) => { d.open = false; }));
})();
