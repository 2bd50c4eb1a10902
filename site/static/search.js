// Sphinx finds the pages that hold each word asked for. People paste whole lines of an error, of which the course knows
// a part, and want the lesson that is about it. So what the index or a heading says comes first: a heading counts 1, an
// entry of the index (an error text or a symptom) by how much of it was asked for; the road counts more than the rest.
(() => {
  // Words with a space around each, so that lambda is not found in lambda_coord.
  const plain = (text) => ` ${text.toLowerCase().replace(/[^\p{L}\p{N}_]+/gu, " ").trim()} `;
  const weight = (page) => (/^notebooks\/\d/.test(page) ? 1.5 : page.startsWith("notebooks/further/") ? 1 : 0.5);
  const search = Search._performSearch;

  function fitting(asked, texts) {
    const found = new Map(); // number of a page to the text that fits best, its anchor, and how much of it was asked for
    for (const [text, places] of Object.entries(texts)) {
      const words = plain(text);
      if (!(words.includes(asked) || (words.length > 11 && asked.includes(words)))) continue;
      const share = Math.min(1, asked.length / words.length);
      for (const [page, anchor, isMain = true] of places)
        if (isMain && share > (found.get(page)?.share ?? 0)) found.set(page, { text, anchor, share });
    }
    return found;
  }

  Search._performSearch = (query, ...terms) => {
    const others = search(query, ...terms);
    const asked = plain(query);
    if (asked.length < 5) return others;
    const { docnames, filenames, titles, alltitles, indexentries } = Search._index;
    const headings = fitting(asked, alltitles);
    const entries = fitting(asked, indexentries);
    const first = [...new Set([...headings.keys(), ...entries.keys()])].map((page) => {
      const { text = titles[page], anchor } = headings.get(page) ?? { anchor: entries.get(page).anchor };
      const title = text === titles[page] ? text : `${titles[page]} > ${text}`;
      const score = (headings.has(page) + (entries.get(page)?.share ?? 0)) * weight(docnames[page]);
      return [docnames[page], title, anchor ? `#${anchor}` : "", null, score, filenames[page], SearchResultKind.title];
    });
    const pages = new Set(first.map(([page]) => page));
    // The last one is shown first.
    return [...others.filter(([page]) => !pages.has(page)), ...first.sort((one, two) => one[4] - two[4])];
  };
})();
