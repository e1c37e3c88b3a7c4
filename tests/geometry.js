/* Return, in words, what of a page is wider than its box, lies over another, or scrolls the page. */
() => {
  const wrong = [], slack = 1.5;
  const shown = (node) => node.getClientRects().length > 0;
  const named = (node) => `${node.tagName.toLowerCase()}${node.id ? `#${node.id}` : ""}` +
    `${node.classList.length ? `.${[...node.classList].join(".")}` : ""}`;
  const scrolls = (node, end) => {
    for (let above = node.parentElement; above && above !== end; above = above.parentElement)
      if (["auto", "scroll"].includes(getComputedStyle(above).overflowX)) return true;
    return false;
  };
  const page = document.documentElement;
  if (page.scrollWidth > innerWidth) wrong.push(`the page is ${page.scrollWidth} px wide`);

  const dialog = document.querySelector("dialog");
  for (const part of [...document.querySelectorAll("header, main"), ...(dialog.open ? [dialog] : [])]) {
    if (part.scrollWidth > part.clientWidth + slack) wrong.push(`${named(part)} scrolls sideways`);
    for (const node of part.querySelectorAll("*")) {
      if (!shown(node) || node.ownerSVGElement || scrolls(node, part)) continue;
      const box = node.getBoundingClientRect(), around = node.parentElement.getBoundingClientRect();
      if (box.right > around.right + slack || box.left < around.left - slack)
        wrong.push(`${named(node)} reaches from ${box.left} to ${box.right} px, ` +
          `${named(node.parentElement)} from ${around.left} to ${around.right}`);
    }
  }

  const host = dialog.open ? dialog : document.querySelector("main");
  const drawn = [];
  for (const node of host.querySelectorAll(".plot, .curve, .gallery figure, .tile, .frames figure, svg.scale")) {
    const parts = [node, ...node.querySelectorAll("svg.main-svg, img")].filter(shown);
    if (!parts.length) continue;
    const boxes = parts.map((part) => part.getBoundingClientRect());
    drawn.push([named(node), Math.min(...boxes.map((b) => b.left)), Math.max(...boxes.map((b) => b.right)),
      Math.min(...boxes.map((b) => b.top)), Math.max(...boxes.map((b) => b.bottom))]);
  }
  drawn.forEach(([one, left, right, top, bottom], i) => drawn.slice(i + 1).forEach(([other, l, r, t, b]) => {
    if (left < r - slack && l < right - slack && top < b - slack && t < bottom - slack)
      wrong.push(`${one} and ${other} overlap`);
  }));

  /* what is written into a plot lies within it */
  for (const plot of host.querySelectorAll(".plot, .curve")) {
    if (!shown(plot)) continue;
    const around = plot.getBoundingClientRect();
    for (const text of plot.querySelectorAll("text")) {
      const box = text.getBoundingClientRect();
      if (box.width && (box.left < around.left - slack || box.right > around.right + slack ||
          box.top < around.top - slack || box.bottom > around.bottom + slack))
        wrong.push(`"${text.textContent}" is cut off by ${named(plot)}`);
    }
  }

  /* nor does a legend lie on a plot's title, or on what is plotted */
  for (const plot of host.querySelectorAll(".plot, .curve")) {
    if (!shown(plot)) continue;
    for (const legend of plot.querySelectorAll(".legend")) {
      const one = legend.getBoundingClientRect();
      for (const node of plot.querySelectorAll(".g-xtitle text, .g-ytitle text, rect.nsewdrag")) {
        const two = node.getBoundingClientRect();
        if (one.left < two.right - slack && two.left < one.right - slack &&
            one.top < two.bottom - slack && two.top < one.bottom - slack)
          wrong.push(`the legend of ${named(plot)} lies on ${node.textContent || "its points"}`);
      }
    }
  }
  return { wrong, drawn: drawn.length };
}
